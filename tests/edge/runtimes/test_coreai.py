"""Core AI as an extra: what is said where it is not there or broken, and of files that are not what they should be.

None of this needs Core AI. What does is in tests/convert/test_coreai.py.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from convert import to_coreai
from dermedge.commands import predict
from edge.errors import InputError
from edge.questions.parity import measure
from edge.runtimes import coreai
from tests.edge._manifests import entry

EXTRA = "pip install -e '.[coreai]' in dermedge's folder"


class Absent:
    """A finder that knows no Core AI."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"coreai", "coreai_torch"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def absent(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in {"coreai", "coreai_torch"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])


def asset(folder: Path, changed: dict[str, bytes | None] | None = None) -> Path:
    """A folder that looks like a .aimodel from outside; `changed` by the names of its files."""
    path, program = folder / "model.aimodel", coreai.MAGIC + b"anything"
    path.mkdir()
    told = {"dermedge.recipe": "fp32", "dermedge.labels": '[{"code": "ben"}, {"code": "mal"}]', "other": 3}
    whole: dict[str, bytes | None] = {
        coreai.PROGRAM: program,
        coreai.DIGEST: hashlib.sha256(program).digest(),
        coreai.METADATA: json.dumps({"assetVersion": "2.0", "creatorDefinedMetadata": told}).encode(),
    }
    for name, content in (whole | (changed or {})).items():
        if content is not None:
            (path / name).write_bytes(content)
    return path


def test_conversion_without_the_extra_is_one_line(absent, tmp_path, capsys):
    assert to_coreai.main(["--model", "hierattn_xs", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: writing .aimodel files needs Core AI: {EXTRA}\n"
    assert not (tmp_path / "out").exists()


def test_a_photograph_without_the_extra_is_one_line(absent, tmp_path, capsys):
    assert predict.main(["photo.jpg", "--with", str(asset(tmp_path))]) == 2
    assert capsys.readouterr().err == f"error: running .aimodel files needs Core AI: {EXTRA}\n"


def test_parity_leaves_the_files_out_with_one_line(absent):
    entries = [entry(f"m-{recipe}.{kind}") for kind in ("tflite", "aimodel") for recipe in "ab"]
    assert measure.left_out(entries) == (
        f"left out m-a.aimodel, m-b.aimodel: running .aimodel files needs Core AI: {EXTRA}"
    )
    assert measure.left_out(entries[:2]) is None  # nobody is told to install what nothing here needs


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("libm.so.6: version `GLIBC_2.34' not found"), "GLIBC_2.34"),
        (OSError("cannot map the library\nand more"), "cannot map the library)"),
        (ModuleNotFoundError("No module named 'yuvio'", name="yuvio"), "yuvio"),
        (AttributeError("module 'coreai' has no attribute 'x'"), "no attribute"),
    ],
)
def test_a_broken_installation_is_one_line(error, words, monkeypatch):
    def broken(name):
        raise error

    monkeypatch.setattr(coreai, "importlib", types.SimpleNamespace(import_module=broken))
    with pytest.raises(InputError) as caught:
        coreai.check_installed()
    assert EXTRA in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


def test_modes():
    package = entry("m-fp16.aimodel")
    for every_way in (False, True):
        assert measure.modes_for(package, None, every_way=every_way) == ("core-ai",)
    assert not measure.modes_for(package, ["xnnpack"], every_way=False)


def test_a_whole_folder_passes(tmp_path):
    facts = coreai.check_aimodel(asset(tmp_path))
    assert facts["dermedge.recipe"] == "fp32"
    assert [label["code"] for label in facts["dermedge.labels"]] == ["ben", "mal"]
    assert "other" not in facts


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({coreai.DIGEST: None}, "expected main.mlirb, main.hash, metadata.json, got main.mlirb, metadata.json"),
        ({coreai.PROGRAM: None}, "expected main.mlirb"),
        ({coreai.METADATA: None}, "expected main.mlirb"),
        ({"main-universal.odix": b"compiled"}, "main-universal.odix"),
        ({coreai.PROGRAM: b"PK\x03\x04"}, "no Core AI program"),
        ({coreai.PROGRAM: b""}, "no Core AI program"),
        ({coreai.PROGRAM: coreai.MAGIC + b"anythinG"}, "damaged"),
        ({coreai.DIGEST: b"short"}, "damaged"),
        ({coreai.DIGEST: bytes(33)}, "larger than 32 bytes"),
        ({coreai.METADATA: b"{"}, "not JSON"),
        ({coreai.METADATA: b"\xff\xfe"}, "not JSON"),
        ({coreai.METADATA: b"[" * 100_000}, "not JSON"),
        ({coreai.METADATA: b" " * (2**20 + 1)}, "larger than"),
    ],
)
def test_what_is_no_such_file_is_named(changed, words, tmp_path):
    """Before Core AI, here or not, is given anything."""
    with pytest.raises(InputError, match=words):
        coreai.CoreAI(asset(tmp_path, changed))


def test_other_paths_are_named(tmp_path):
    for path in (tmp_path / "nowhere.aimodel", Path(__file__)):
        with pytest.raises(InputError, match="to_coreai"):
            coreai.CoreAI(path)
    whole = asset(tmp_path)
    (tmp_path / "link.aimodel").symlink_to(whole)
    with pytest.raises(InputError, match=r"no \.aimodel folder"):
        coreai.CoreAI(tmp_path / "link.aimodel")
    (whole / coreai.METADATA).unlink()
    (whole / coreai.METADATA).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no plain file"):
        coreai.CoreAI(whole)


@pytest.mark.parametrize("labels", ["{", "3", '{"code": 1}', "[" * 100_000])
def test_odd_metadata_is_left_out(labels, tmp_path):
    told = {"creatorDefinedMetadata": {"dermedge.labels": labels}}
    assert coreai.check_aimodel(asset(tmp_path, {coreai.METADATA: json.dumps(told).encode()}))["dermedge.labels"] == []
    assert coreai.own_facts([told]) == coreai.own_facts({"creatorDefinedMetadata": 1}) == {"dermedge.labels": []}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "crashed, signal 6"),
        ("raise ValueError('no such function')", "no such function"),
        ("import time; time.sleep(60)", "within 1 s"),
        ("print('nothing of use')", "no word"),
    ],
)
def test_a_runtime_that_breaks_on_a_file_breaks_elsewhere(program, words, tmp_path, monkeypatch):
    monkeypatch.setattr(coreai, "FIRST_OPENING", program)
    monkeypatch.setattr(coreai, "PATIENCE", 1 if "sleep" in program else 60)
    with pytest.raises(InputError, match=words):
        coreai.first_opening(asset(tmp_path))


GOOD = {
    "inputs": {"image": [[1, 64, 64, 3], "uint8"]}, "outputs": {"probabilities": [[1, 2], "float32"]},
    "states": [], "stored": {"Float32": 9},
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": {"image": [[1, 64, 64, 3], "float32"]}},
        {"inputs": {"image": [[1, 3, 64, 64], "uint8"]}},
        {"inputs": {"image": [[1, None, None, 3], "uint8"]}},
        {"inputs": {"picture": [[1, 64, 64, 3], "uint8"]}},
        {"inputs": GOOD["inputs"] | {"second": [[1], "float32"]}},
        {"outputs": {"logits": [[1, 2], "float32"]}},
        {"outputs": {"probabilities": [[1, None], "float32"]}},
        {"outputs": {"probabilities": [[2], "float32"]}},
        {"outputs": GOOD["outputs"] | {"mask": [[1, 32, 32, 1], "float32"]}},
        {"outputs": GOOD["outputs"] | {"more": [[1, 64, 64, 1], "float32"]}},
        {"states": ["memory"]},
    ],
)
def test_another_contract_is_named(other, tmp_path, monkeypatch):
    monkeypatch.setattr(coreai, "check_installed", lambda: None)
    monkeypatch.setattr(coreai, "first_opening", lambda path: GOOD | other)
    with pytest.raises(InputError, match=r"expected an input image \(1, S, S, 3\) of uint8"):
        coreai.CoreAI(asset(tmp_path))


def test_shortcomings_are_in_words():
    found = coreai.CoreAI.__new__(coreai.CoreAI)
    found.side, found.classes, found.labels, found.recipe, found.stored = 64, 2, ["ben", "mal"], "fp16", {"Float16": 5}
    found.gives_mask, found.answer_places = False, 0
    assert found.shortcomings(recipe="fp16", side=64, labels=["ben", "mal"]) == []
    assert len(found.shortcomings(recipe="fp32", side=96, labels=["mal", "ben", "other"], mask=True)) == 6


def test_images_of_another_size_are_named():
    found = coreai.CoreAI.__new__(coreai.CoreAI)
    found.side, found.name = 64, "m.aimodel"
    for images in (np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32)):
        with pytest.raises(InputError, match=r"takes uint8 \(N, 64, 64, 3\)"):
            found.run(images)


def test_importing_the_runtime_brings_nothing_of_apple():
    program = (
        "import sys, edge.runtimes.coreai; print([m for m in sys.modules if m.split('.')[0].startswith('coreai')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"
