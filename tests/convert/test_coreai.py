"""Core AI files from the command to their answers, by Apple's own runtime. Skipped where the extra is not installed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import dermedge
from convert import to_coreai
from dermedge.commands import parity, predict
from edge import artifact, checkpoint
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.runtimes.coreai import DIGEST, PROGRAM, CoreAI, missing
from edge.runtimes.reference import Reference
from tests._answering import Q, small, with_log_odds
from tests.convert._random_weights import SIDE

REASON = missing()
pytestmark = [
    pytest.mark.slow(reason="converts to all of Core AI's files"),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


@pytest.fixture(scope="module")
def build(tmp_path_factory, given: list[str]) -> Path:
    home = tmp_path_factory.mktemp("coreai")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        assert to_coreai.main([*given, "--out", str(home / "build")]) == 0
    return home / "build"


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def test_the_files_say_what_the_contract_says(build: Path) -> None:
    manifest, codes = artifact.read(build), [label.code for label in PAD_UFES_20]
    inside = manifest.facts_inside()
    assert {entry.recipe for entry in manifest.files} == {"fp32", "fp16"}
    for entry in manifest.files:
        assert entry.format == "aimodel" and (entry.layout, entry.dtype) == ("NHWC", "uint8")
        assert entry.parity.verdict == "pass" and entry.parity.binding
        opened = CoreAI(build / entry.file)
        opened.close()
        assert opened.shortcomings(recipe=entry.recipe, side=SIDE, labels=codes) == []
        other = "fp16" if entry.recipe == "fp32" else "fp32"
        assert len(opened.shortcomings(recipe=other, side=SIDE, labels=codes)) == 2  # what is said, and what is stored
        told = json.loads((build / entry.file / "metadata.json").read_text())
        facts = told["creatorDefinedMetadata"]
        assert told["author"] == "dermedge" and "Not a medical device" in told["description"]
        for key in ("labels", "input", "preprocess", "output", "training"):
            assert json.loads(facts[f"dermedge.{key}"]) == inside[key]
        assert facts["dermedge.checkpoint_sha256"] == manifest.checkpoint_sha256
    size = {entry.recipe: entry.bytes for entry in manifest.files}
    assert size["fp16"] < 0.52 * size["fp32"]
    assert not [path for path in build.rglob("*") if path.name.startswith(".unfinished")]


def test_no_path_of_this_machine_is_in_a_file(build: Path) -> None:
    """What Core AI's converter calls debug mode writes where in our sources each operation was made."""
    for program in build.rglob(PROGRAM):
        assert str(Path(__file__).parents[2]).encode() not in program.read_bytes()


def test_answers_are_the_models(build: Path, weights: Path, images: np.ndarray) -> None:
    expected = Reference(checkpoint.load(weights)).run(images).probabilities
    found = {}
    for recipe in ("fp32", "fp16"):
        opened = CoreAI(build / f"hierattn_xs-{recipe}.aimodel")
        found[recipe] = opened.run(images).probabilities
        opened.close()
    np.testing.assert_allclose(found["fp32"], expected, atol=2e-6)
    assert 1e-6 < np.abs(found["fp16"] - expected).max() < 0.02  # it computes in fp16


def test_the_self_test_holds_the_files_own_answers(build: Path) -> None:
    from PIL import Image

    opened = CoreAI(build / "hierattn_xs-fp16.aimodel")
    for entry in artifact.read(build).self_test:
        image = np.asarray(Image.open(build / entry.image))
        np.testing.assert_allclose(
            opened.run(image[None]).probabilities[0], entry.expected["hierattn_xs-fp16.aimodel"], atol=1e-12
        )
    opened.close()


def test_parity_simulate_and_predict_run_them(build: Path, given: list[str], tmp_path: Path, capsys) -> None:
    arguments = [str(build), *given, "--images", "3"]
    assert parity.main([*arguments, "--simulate"]) == 0
    assert parity.main([*arguments, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("core-ai") == 4
    report = json.loads((tmp_path / "parity.json").read_text())
    assert {(file["format"], file["runtime"]) for file in report["files"]} == {("aimodel", "core-ai")}
    photo = build / "self_test_0.png"
    assert predict.main([str(photo), "--json", "--with", str(build / "hierattn_xs-fp32.aimodel")]) == 0
    answer = json.loads(capsys.readouterr().out)[0]["probabilities"]
    assert list(answer) == [label.code for label in PAD_UFES_20] and sum(answer.values()) == pytest.approx(1, abs=1e-5)


def test_it_runs_where_an_event_loop_runs(build: Path, images: np.ndarray) -> None:
    """As in a notebook."""
    import asyncio

    async def cell() -> np.ndarray:
        opened = CoreAI(build / "hierattn_xs-fp32.aimodel")
        answers = opened.run(images).probabilities
        opened.close()
        return answers

    assert asyncio.run(cell()).shape == (2, len(PAD_UFES_20))


@pytest.mark.parametrize("where", ["start", "end", "cut"])
def test_a_damaged_program_ends_in_words(where: str, build: Path, tmp_path: Path, images: np.ndarray) -> None:
    """Also where the digest was made to fit: whatever the runtime does with such a file, it does elsewhere."""
    damaged = Path(shutil.copytree(build / "hierattn_xs-fp16.aimodel", tmp_path / "d.aimodel"))
    program = bytearray((damaged / PROGRAM).read_bytes())
    if where == "cut":
        del program[len(program) // 2 :]
    else:
        program[200 if where == "start" else -200] ^= 0xFF
    (damaged / PROGRAM).write_bytes(program)
    with pytest.raises(InputError, match="damaged"):
        CoreAI(damaged)
    (damaged / DIGEST).write_bytes(hashlib.sha256(program).digest())
    try:
        opened = CoreAI(damaged)
    except InputError as error:
        assert "convert it again" in str(error)
    else:  # such a bit can be one of no meaning
        assert opened.run(images).probabilities.shape == (2, len(PAD_UFES_20))
        opened.close()
    if where == "cut":
        with pytest.raises(InputError, match="cannot open it"):
            CoreAI(damaged)


def test_files_of_other_classes_are_refused(build: Path, tmp_path: Path, capsys) -> None:
    folder = Path(shutil.copytree(build, tmp_path / "build"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["labels"] = manifest["labels"][::-1]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert predict.main(["photo.jpg", "--with", str(folder / "hierattn_xs-fp32.aimodel")]) == 2
    assert "its manifest SEK, SCC, NEV" in capsys.readouterr().err


def test_a_mask_is_the_second_output(sample: Path, images: np.ndarray, tmp_path: Path) -> None:
    flags = ["--model", "resformer_lite", "--untrained", "--side", str(SIDE), "--data", str(sample)]
    assert to_coreai.main([*flags, "--recipe", "fp16", "--out", str(tmp_path)]) == 0
    (entry,) = artifact.read(tmp_path).files
    assert entry.parity.verdict == "pass" and entry.parity.masks.dice_median > 0.99
    wanted = Reference(checkpoint.load(tmp_path / "untrained-0.safetensors")).run(images)
    opened = CoreAI(tmp_path / entry.file)
    found = opened.run(images)
    opened.close()
    assert found.masks is not None and found.masks.shape == (2, SIDE, SIDE) and found.masks.dtype == np.float32
    np.testing.assert_allclose(found.masks, wanted.masks, atol=0.02)
    assert found.masks[0].std() > 0.01  # else this shows nothing


def test_answers_are_added_in_float32(tmp_path: Path, sample: Path) -> None:
    """Apple's own runtime takes both inputs, and says exactly what it says without them while nothing is answered."""
    fitted = small()
    built = dermedge.convert(fitted, out=tmp_path / "build", formats=["coreai"], photos=sample, answers=True)
    assert built.rejected == () and len(built.manifest.files) == 4
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    vectors = (rng.random((2, Q)) < 0.3).astype(np.float32)
    wanted = with_log_odds(Reference(fitted).run(pictures).probabilities, fitted, vectors)
    for recipe, near in (("fp32", 1e-5), ("fp16", 2e-3)):
        alone = CoreAI(built.folder / f"small-{recipe}.aimodel")
        both = CoreAI(built.folder / f"small-answers-{recipe}.aimodel")
        assert (alone.answer_places, both.answer_places) == (0, Q)
        np.testing.assert_array_equal(both.run(pictures).probabilities, alone.run(pictures).probabilities)
        np.testing.assert_allclose(both.run(pictures, vectors).probabilities, wanted, atol=near)
        alone.close()
        both.close()
    told = json.loads((built.folder / "small-answers-fp16.aimodel" / "metadata.json").read_text())
    facts = told["creatorDefinedMetadata"]
    assert (
        json.loads(facts["dermedge.answers"])["shape"] == [1, Q] and len(json.loads(facts["dermedge.questions"])) == 9
    )
