"""The benchmark's own machinery, mostly on files of one operator; no test looks at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _plot
from benchmarks._answers import compare_answers
from benchmarks._files import PLAIN, PLAIN_STATIC, Candidate, checkpoint_at, settled_on
from benchmarks._page import markdown, row
from benchmarks._peers import PEERS, peer
from benchmarks.tflite import main, threads_of
from convert._tflite.emit.writer import Code, Writer
from dermedge.console import third_party_noise_into
from edge.checkpoint import load, shipped
from edge.errors import InputError
from edge.metrics.observations import UNKNOWN, Observations
from edge.questions.zoo.rounds import Measured, timed
from edge.questions.zoo.worker import picture
from edge.recipes import TFLITE
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference
from edge.runtimes.timing import cores
from edge.tflite.flatbuffer import pack, unpack

UINT8 = 3  # of the schema's TensorType
MB = 10**6


@pytest.fixture
def one_operator(tmp_path: Path) -> Callable[..., Path]:
    def make(code: int = Code.ABS, shape: tuple[int, ...] = (1, 4, 4, 3)) -> Path:
        w = Writer()
        x = w.tensor(shape, "image")
        (y,) = w.operator(code, [x], [shape], "y")
        path = tmp_path / f"{code}-{'-'.join(map(str, shape))}.tflite"
        path.write_bytes(w.finish({"image": x}, {"probabilities": y}, description="x"))
        return path

    return make


@pytest.fixture
def tiny(one_operator) -> Path:
    return one_operator()


# Rounds


def test_every_file_is_run_in_every_round(tiny):
    found = timed({"plain": tiny, "other": tiny}, threads=1, rounds=3)
    assert {name: len(m.milliseconds) for name, m in found.items()} == {"plain": 3, "other": 3}
    assert all(value > 0 for m in found.values() for value in m.milliseconds)


def test_memory_is_that_of_the_file(tiny, one_operator):
    """Two activations of 2000 x 2000 x 3 floats, 48 MB each, and nothing of what this process holds."""
    ours = np.ones(500 * MB, np.uint8)
    large = one_operator(shape=(1, 2000, 2000, 3))
    found = timed({"tiny": tiny, "large": large}, threads=1, rounds=1)
    assert 5 * MB < found["tiny"].memory_before < found["tiny"].memory < ours.nbytes / 2
    assert 90 * MB < found["large"].memory - found["tiny"].memory < 200 * MB


def test_a_file_of_bytes_is_given_bytes(one_operator):
    """The runtime refuses a tensor of another type, and the process would end."""
    path = one_operator(Code.CAST)
    model = unpack(path.read_bytes())
    model.subgraphs[0].tensors[0].type = UINT8
    path.write_bytes(pack(model))
    assert len(timed({"x": path}, threads=1, rounds=2)["x"].milliseconds) == 2
    assert picture((1, 4, 4, 3), np.uint8).dtype == np.uint8
    np.testing.assert_array_equal(picture((1, 4, 4, 3), np.uint8), picture((1, 4, 4, 3), np.float32))


def test_a_process_that_ends_is_named(tmp_path, tiny):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    with third_party_noise_into(tmp_path / "log"), pytest.raises(InputError, match=r"bad one.*ended"):
        timed({"good one": tiny, "bad one": broken}, threads=1, rounds=1)
    assert "not a valid Flatbuffer" in (tmp_path / "log").read_text()


# Answers


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def observed(probabilities: np.ndarray) -> Observations:
    images = len(probabilities)
    ids = tuple(str(i) for i in range(images))
    return Observations(
        ids, ids, ("x",) * images, np.full(images, UNKNOWN), ("a", "b"), ("a", "b"), (False, True), probabilities
    )


def test_noise_of_a_tenth_is_twenty_decibels():
    logits = np.array([[1.0, -1.0], [2.0, -2.0], [-1.5, 1.5]])
    found = compare_answers(observed(softmax(logits)), softmax(1.1 * logits))
    assert found["sqnr_db_median"] == pytest.approx(20.0, abs=1e-6) and found["agreement"] == 1.0


def test_one_other_class_of_four():
    logits = np.array([[1.0, -1.0], [2.0, -2.0], [-1.5, 1.5], [0.5, -0.5]])
    other = logits * np.array([[1], [1], [1], [-1]])
    assert compare_answers(observed(softmax(logits)), softmax(other))["agreement"] == 0.75


def test_answers_that_are_no_probabilities():
    expected = observed(np.full((2, 2), 0.5))
    assert compare_answers(expected, np.full((2, 2), math.nan)) == {"sqnr_db_median": None, "agreement": None}


# Page


@pytest.fixture
def rows(tiny) -> list[dict]:
    """Round by round twice as slow as plain with one thread, while the machine slows down tenfold."""
    plain = {1: Measured([1.0, 2.0, 10.0], 30 * MB, 50 * MB), 2: Measured([1.0, 1.0, 1.0], 30 * MB, 51 * MB)}
    twice = {1: Measured([2.0, 4.0, 20.0], 30 * MB, 60 * MB), 2: Measured([0.5, 0.5, 0.5], 30 * MB, 61 * MB)}
    same = {"compared_with": "the float torch model", "sqnr_db_median": math.inf, "agreement": 1.0}
    content = tiny.read_bytes()
    return [
        row(Candidate("plain", content, "by hand", 100), tiny, plain, plain, same),
        row(Candidate("x", content, "by hand", 100), tiny, twice, plain, same | {"sqnr_db_median": 31.25}),
    ]


def test_ratios_are_of_the_same_round(rows, tiny):
    found = rows[1]["threads"]
    assert found["1"]["ratio_to_plain"] == 2.0 and found["1"]["ms"] == 4.0 and found["2"]["ratio_to_plain"] == 0.5
    assert found["1"]["peak_memory_bytes"] == 60 * MB
    assert rows[1]["bytes"] == tiny.stat().st_size == 100 * rows[1]["bytes_per_parameter"]
    assert rows[1]["peak_activation_bytes"] == 2 * 4 * 4 * 3 * 4  # input and output, floats


def test_page(rows):
    data = {"name": "a set", "images": 3, "synthetic": True}
    report = {"model": "m", "trained": False, "side": 4, "rounds": 3, "machine": "one", "data": data, "rows": rows}
    page = markdown(report)
    line = next(text for text in page.splitlines() if text.startswith("| x |"))
    assert "| 4.00 [3.00, 12.00] | 2.00 | 0.50 [0.50, 0.50] | 0.50 | 60.0 MB | 31.2 | 100.0 % |" in line
    assert "| ∞ |" in page and "random weights" in page and "3 synthetic images (a set)" in page
    assert "photographs of patients" in markdown({**report, "data": {**data, "synthetic": False}})
    tables = [text.count("|") for text in page.splitlines() if text.startswith("|")]
    assert set(tables[:4]) == {tables[0]} and set(tables[4:]) == {tables[4]}  # no line has a cell too many


def test_plot_shows_the_numbers(rows, tmp_path):
    time, size = _plot.figure(rows).axes
    assert [list(drawn.get_xdata()) for drawn in time.get_lines()] == [[2.0, 4.0], [1.0, 0.5]]
    assert [bar.get_width() for bar in size.patches] == [r["bytes"] / 1e6 for r in rows]
    assert "milliseconds" in time.get_xlabel() and "MB" in size.get_xlabel()
    assert [label.get_text() for label in time.get_yticklabels()] == ["plain", "x"]
    _plot.write(rows, [tmp_path / "a.png", tmp_path / "a.svg"])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG") and "2 threads" in (tmp_path / "a.svg").read_text()


# What is measured


@pytest.fixture
def noise() -> np.ndarray:
    """uint8 (6, 64, 64, 3), each image with a brightness and a colour of its own."""
    rng = np.random.default_rng(1)
    return (rng.random((6, 64, 64, 3)) * 255 * rng.random((6, 1, 1, 3))).astype(np.uint8)


@pytest.mark.parametrize("name", PEERS)
def test_random_peers_still_look_at_the_image(name, noise):
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.inference_mode():
        answers = peer(name, 5, noise)(torch.from_numpy(noise).float())
    assert answers.shape == (len(noise), 5) and len(set(answers.argmax(dim=1).tolist())) > 1
    assert answers.std(dim=0).min() > 0.05 and answers.max() < 0.99  # from image to image, and never quite sure


def test_weights_that_are_not_shipped_look_at_the_image_too(noise):
    found = settled_on(noise, checkpoint_at("hierattn_m", 64))
    answers = Reference(found).run(noise).probabilities
    assert len(set(answers.argmax(axis=1))) > 1 and answers.std(axis=0).min() > 0.05 and answers.max() < 0.99


def test_any_side_and_any_known_model():
    found, own = checkpoint_at("hierattn_xs", 96), load(shipped("hierattn_xs"))
    assert found.preprocess.side == 96
    assert (found.preprocess.mean, found.preprocess.std) == (own.preprocess.mean, own.preprocess.std)
    assert checkpoint_at("hierattn_m", 64).model == "hierattn_m"  # none is shipped: random weights
    for model, side, said in (("made_up", 64, "hierattn_xs"), ("hierattn_xs", 65, "--side")):
        with pytest.raises(InputError, match=said):
            checkpoint_at(model, side)


def test_numbers_of_threads(monkeypatch):
    monkeypatch.setattr("benchmarks.tflite.cores", lambda: 3)
    assert threads_of(None) == [1, 2] and threads_of("3,1") == [3, 1]
    for wrong in ("0", "4", "1,1", "", "one", "1;2"):
        with pytest.raises(InputError, match="--threads"):
            threads_of(wrong)
    monkeypatch.setattr("benchmarks.tflite.cores", lambda: 1)
    assert threads_of(None) == [1]


def test_help_is_complete(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert {"--peers", "--threads", "--data"} <= set(capsys.readouterr().out.replace("[", " ").split())


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--images", "0"], ["--threads", "x"], ["--side", "7"]])
def test_wrong_flags_are_named(wrong, tmp_path, capsys):
    assert main([*wrong, "--out", str(tmp_path)]) == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.slow(reason="converts and times every recipe")
def test_a_run(folder_of_photographs, tmp_path):
    """Weights of 4, 2 and 1 byte, float files as the model answers, 8-bit ones not quite."""
    arguments = ["--side", "64", "--rounds", "1", "--images", "8", "--data", str(folder_of_photographs)]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "tflite.json").read_text())
    found = {r["file"]: r for r in report["rows"]}
    assert list(found) == [PLAIN, PLAIN_STATIC, *(recipe for recipe in TFLITE if recipe != "int8-full")]
    assert report["trained"] and not report["data"]["synthetic"] and report["data"]["images"] == 8
    state = load(shipped("hierattn_xs")).state
    assert found["fp32"]["parameters"] == sum(
        v.numel() for k, v in state.items() if "running" not in k and "batches" not in k
    )
    per_parameter = {recipe: found[recipe]["bytes_per_parameter"] for recipe in ("fp32", "fp16", "int8-weights")}
    assert per_parameter == {k: pytest.approx(v, rel=0.25) for k, v in zip(per_parameter, (4, 2, 1), strict=True)}
    sqnr = {name: r["sqnr_db_median"] for name, r in found.items()}
    assert min(sqnr["plain"], sqnr["fp32"]) > 80 > sqnr["fp16"] > sqnr["int8-weights"] > 20
    assert found["fp32"]["agreement"] == 1.0
    assert all(list(r["threads"]) == [str(n) for n in (1, 2) if n <= cores()] for r in found.values())
    assert found["plain"]["by"].startswith("by litert-torch") and "litert-torch" not in found["fp32"]["by"]
    assert {p.name for p in tmp_path.glob("*.*")} == {
        "benchmark.log",
        *(f"tflite.{s}" for s in ("md", "json", "png", "svg")),
    }


@pytest.mark.slow(reason="converts a network of transformers")
def test_a_peer_answers_as_its_module_does(noise, tmp_path):
    """Through our own lowering; what its file answers is what torch computes."""
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from convert._tflite.file import lower

    with third_party_noise_into(tmp_path / "log"):
        module = peer("mobilevit_s", 5, noise)
        (tmp_path / "x.tflite").write_bytes(lower(module, torch.zeros(1, 64, 64, 3)).content)
    with torch.inference_mode():
        expected = torch.cat([module(torch.from_numpy(image[None]).float()) for image in noise])
    runtime = LiteRT(tmp_path / "x.tflite")
    np.testing.assert_allclose(runtime.run(noise).probabilities, expected.numpy(), atol=2e-5)
    runtime.close()
