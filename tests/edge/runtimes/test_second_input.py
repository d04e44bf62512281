"""The second input behind the one protocol: by its name, zeros where none is given, refused where a file has none."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convert._coreml.program import exported, float_program, rewritten
from convert._coreml.second_input import store, write_with_second_input
from convert._tflite.file import float_model
from convert._tflite.quantise import with_byte_input
from convert._tflite.second_input import with_second_input
from edge.checkpoint import Checkpoint
from edge.errors import InputError
from edge.phones import android, arm, browser
from edge.runtimes import Refused, Runtime, coreai, phone
from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.coreml.program import read_spec
from edge.runtimes.litert import LiteRT
from edge.runtimes.phone import run_side_by_side
from edge.runtimes.reference import Reference
from edge.tflite.flatbuffer import pack, unpack
from tests._answering import SIDE, K, Q, small, sure, with_log_odds
from tests.edge.runtimes.test_coreai import asset

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small()


@pytest.fixture(scope="module")
def log_odds(checkpoint: Checkpoint) -> np.ndarray:
    return np.array(checkpoint.log_odds, np.float32)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory, checkpoint: Checkpoint, log_odds: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("files")
    content = float_model(checkpoint).content
    (folder / "net.tflite").write_bytes(with_second_input(content, log_odds))
    (folder / "bytes.tflite").write_bytes(with_second_input(with_byte_input(content), log_odds))
    swapped = unpack(with_second_input(content, log_odds))
    swapped.subgraphs[0].inputs = swapped.subgraphs[0].inputs[::-1]
    swapped.signatureDefs[0].inputs = swapped.signatureDefs[0].inputs[::-1]
    (folder / "swapped.tflite").write_bytes(pack(swapped))
    return folder / "net.tflite"


@pytest.fixture(scope="module")
def package(tmp_path_factory, checkpoint: Checkpoint, log_odds: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    float_program(checkpoint, exported(checkpoint, rewritten(checkpoint)), "fp32").save(str(folder / "alone.mlpackage"))
    spec = write_with_second_input(folder / "alone.mlpackage", folder / "net.mlpackage", log_odds)
    store(spec, folder / "net.mlpackage")
    return folder / "net.mlpackage"


class Array:
    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value


def core_ai(path: Path, checkpoint: Checkpoint, patch: pytest.MonkeyPatch, inputs: dict[str, Any]) -> Runtime:
    """Our half of it, around the torch model in place of Apple's runtime."""
    module = checkpoint.deployed(layout="NHWC", answers=True)

    async def engine(given: dict[str, Array]) -> dict[str, Array]:
        image, answers = torch.from_numpy(given["image"].value).float(), torch.from_numpy(given["answers"].value)
        with torch.inference_mode():
            return {"probabilities": Array(module(image, answers).numpy())}

    async def opened(_self: coreai.CoreAI) -> tuple[Any, Any]:
        return Array, engine

    facts = {"inputs": {"image": [[1, SIDE, SIDE, 3], "uint8"], **inputs}, "states": [], "stored": {},
             "outputs": {"probabilities": [[1, K], "float32"]}}  # fmt: skip
    patch.setattr(coreai, "check_installed", lambda: None)
    patch.setattr(coreai, "first_opening", lambda path: facts)
    patch.setattr(coreai.CoreAI, "open", opened)
    return coreai.CoreAI(path)


KINDS = ("reference", "xnnpack", "xnnpack-fp16", "kernels", "swapped", "swapped, xnnpack-fp16", "bytes", "core ml",
         "core ai")  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def runtime(kind: str, request, checkpoint: Checkpoint, tmp_path: Path, monkeypatch) -> Iterator[Runtime]:
    def of_file(name: str, mode: str = "xnnpack") -> Runtime:
        return LiteRT(request.getfixturevalue("tflite").with_name(f"{name}.tflite"), mode=mode)

    makers: dict[str, Callable[[], Runtime]] = {
        "reference": lambda: Reference(checkpoint),
        "xnnpack": lambda: of_file("net"),
        "xnnpack-fp16": lambda: of_file("net", "xnnpack-fp16"),
        "kernels": lambda: of_file("net", "reference"),
        "swapped": lambda: of_file("swapped"),
        "swapped, xnnpack-fp16": lambda: of_file("swapped", "xnnpack-fp16"),
        "bytes": lambda: of_file("bytes"),
        "core ml": lambda: CoreML(request.getfixturevalue("package")),
        "core ai": lambda: core_ai(asset(tmp_path), checkpoint, monkeypatch, {"answers": [[1, Q], "float32"]}),
    }
    opened = makers[kind]()
    yield opened
    opened.close()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def vectors() -> np.ndarray:
    return (np.random.default_rng(1).random((3, Q)) < 0.3).astype(np.float32)


def test_each_picture_gets_its_answers(runtime: Runtime, kind: str, checkpoint: Checkpoint, images, vectors) -> None:
    module = checkpoint.deployed(layout="NHWC")
    with torch.inference_mode():
        alone = np.concatenate([module(torch.from_numpy(one[None]).float()).double().numpy() for one in images])
    wanted = with_log_odds(alone, checkpoint, vectors)
    near = 5e-3 if "fp16" in kind else 1e-5
    assert runtime.answer_places == Q and np.abs(wanted - alone).max() > 0.1
    np.testing.assert_allclose(runtime.run(images, vectors).probabilities, wanted, atol=near)
    nothing = runtime.run(images).probabilities
    np.testing.assert_allclose(nothing, alone, atol=near)
    np.testing.assert_array_equal(nothing, runtime.run(images, np.zeros((3, Q), np.float32)).probabilities)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((3, Q - 1), np.float32), f"as float32 .3, {Q}., a row for each picture, got float32"),
        (np.zeros((2, Q), np.float32), "got float32"),
        (np.zeros((3, Q)), "got float64"),
        (np.zeros(Q, np.float32), "got float32"),
        ([[0.0] * Q] * 3, "got list"),
        (np.full((3, Q), np.nan, np.float32), "not all finite"),
    ],
    ids=str,
)
def test_other_answers_are_refused_by_name(runtime: Runtime, images, wrong: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        runtime.run(images, wrong)
    assert runtime.name in str(caught.value)


def test_processes_side_by_side_get_their_own_answers(tflite: Path, images, vectors, monkeypatch) -> None:
    monkeypatch.setattr("edge.runtimes.phone.cores", lambda: 2)
    found = run_side_by_side(lambda: LiteRT(tflite), images, task="both", answers=vectors)
    np.testing.assert_array_equal(found.probabilities, LiteRT(tflite).run(images, vectors).probabilities)


@pytest.mark.slow(reason="starts five libraries, two of them emulated")
@pytest.mark.parametrize("mode", ["android-x86_64", "android-java", "android", "arm64", "browser"])
def test_phones_own_libraries_take_it(mode: str, tflite: Path, images, vectors) -> None:
    if not {"arm64": arm, "browser": browser}.get(mode, android).is_set_up():
        pytest.skip(f"{mode} is not set up from today's sources: `dermedge setup`")
    there, here = LiteRT(tflite, mode=mode), LiteRT(tflite)
    assert there.answer_places == Q
    for answers in (vectors, None):
        found, wanted = there.run(images, answers).probabilities, here.run(images, answers).probabilities
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    there.close()


@pytest.mark.parametrize("named", [True, False])
def test_a_library_that_does_not_name_its_inputs(named: bool, tflite: Path, monkeypatch) -> None:
    """As set-ups of before: a file with one input runs all the same, one with two is refused with what to do."""
    inputs = [{"type": 1, "shape": [1, SIDE, SIDE, 3]}, {"type": 1, "shape": [1, Q]}]
    if named:
        inputs = [{"name": name, **tensor} for name, tensor in zip(("image", "answers"), inputs, strict=True)]
    facts = {"version": "2.16.1", "xnnpack": True, "inputs": inputs, "outputs": [{"type": 1, "shape": [1, K]}]}
    program = f"import sys; print({json.dumps(facts)!r}, flush=True); sys.stdin.read()"
    monkeypatch.setattr(phone, "command_of", lambda path, choice, threads: [sys.executable, "-c", program])
    if named:
        opened = LiteRT(tflite, mode="android")
        assert opened.answer_places == Q
        opened.close()
        return
    with pytest.raises(Refused, match=r"set up before files had a second input; run `dermedge setup` again"):
        LiteRT(tflite, mode="android")


def renamed(content: bytes, **changes: Any) -> bytes:
    model = unpack(content)
    graph = model.subgraphs[0]
    for field, value in changes.items():
        setattr(graph.tensors[graph.inputs[1]], field, value)
    return pack(model)


def test_another_second_input_is_refused_by_name(tflite: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(renamed(tflite.read_bytes(), name=b"symptoms"))
    with pytest.raises(InputError, match=rf"odd.tflite: expected .*answers \(1, Q\).*symptoms \(1, {Q}\)"):
        LiteRT(path)


@pytest.mark.parametrize("other", [[[1, Q], "float16"], [[Q], "float32"], [[2, Q], "float32"], [[], "float32"]])
def test_another_second_input_of_core_ai_is_refused(other: Any, checkpoint: Checkpoint, tmp_path: Path, monkeypatch):
    with pytest.raises(InputError, match=r"answers \(1, Q\) of float32"):
        core_ai(asset(tmp_path), checkpoint, monkeypatch, {"answers": other})
    with pytest.raises(InputError, match="expected an input image"):
        core_ai(tmp_path / "model.aimodel", checkpoint, monkeypatch, {"symptoms": [[1, Q], "float32"]})


def test_another_second_input_of_core_ml_is_refused(package: Path, tmp_path: Path) -> None:
    for number, change in enumerate(({"name": "symptoms"}, {"dtype": 65600}, {"shape": [Q]})):
        path = tmp_path / f"{number}.mlpackage"
        shutil.copytree(package, path)
        spec = read_spec(path)
        (feature,) = [feature for feature in spec.description.input if feature.name == "answers"]
        if "name" in change:
            feature.name = change["name"]
        if "dtype" in change:
            feature.type.multiArrayType.dataType = change["dtype"]
        if "shape" in change:
            del feature.type.multiArrayType.shape[:]
            feature.type.multiArrayType.shape.extend(change["shape"])
        store(spec, path)
        with pytest.raises(InputError, match=r"beside it answers, float32 \(1, Q\), or nothing"):
            CoreML(path)


def test_a_sure_picture_and_answers_against_it_leave_numbers(tmp_path: Path) -> None:
    """In float32 the picture says 1 and 0, and the answers take 200 away from the logarithm of that 1."""
    checkpoint = sure()
    log_odds = np.array(checkpoint.log_odds, np.float32)
    (tmp_path / "sure.tflite").write_bytes(with_second_input(float_model(checkpoint).content, log_odds))
    float_program(checkpoint, exported(checkpoint, rewritten(checkpoint)), "fp32").save(str(tmp_path / "a.mlpackage"))
    store(
        write_with_second_input(tmp_path / "a.mlpackage", tmp_path / "b.mlpackage", log_odds), tmp_path / "b.mlpackage"
    )
    dark, against = np.zeros((1, SIDE, SIDE, 3), np.uint8), np.eye(1, Q, dtype=np.float32)
    for opened in (LiteRT(tmp_path / "sure.tflite"), CoreML(tmp_path / "b.mlpackage")):
        alone = opened.run(dark).probabilities
        assert alone.max() == 1 and alone.min() == 0
        np.testing.assert_allclose(opened.run(dark, against).probabilities, alone, rtol=0, atol=1e-6)
        opened.close()
