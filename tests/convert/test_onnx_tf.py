"""The old road to TFLite: what it refuses, what it is told, and, where its environment is set up, the gate of fp32."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn

from convert._graph.graph import trace
from convert._graph.passes import rewrite
from convert._onnx import program
from convert._onnx_tf import compare, road
from convert._onnx_tf.compare import layers_not_found
from convert._onnx_tf.plain_gelu import plain_gelu
from dermedge.commands import to_tflite
from edge import artifact
from edge.environments import environment, is_set_up
from edge.errors import InputError
from edge.runtimes.inside import Inside, Op, Precision

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")


class Gelu(nn.Module):
    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.activation = nn.GELU(approximate)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x)


def test_a_gelu_without_the_error_function_is_the_gelu() -> None:
    """Over all of float32 that matters, against SciPy's error function in float64; at most two steps of float32 off."""
    x = torch.linspace(-9, 9, 100_001)
    graph, fired = rewrite(trace(Gelu(), x), [plain_gelu])
    assert fired == {"plain_gelu": 1}
    assert not [node for node in graph.graph.nodes if "erf" in str(node.target) or "gelu" in str(node.target)]
    wanted = x.double().numpy() / 2 * (1 + erf(x.double().numpy() / np.sqrt(2)))
    with torch.no_grad():
        off = np.abs(graph(x).double().numpy() - wanted)
    assert off.max() < 1.5e-6 and (off / np.maximum(np.abs(x.numpy()), 1)).max() < 2e-7


def test_a_gelu_by_tanh_is_left() -> None:
    assert rewrite(trace(Gelu("tanh"), torch.zeros(3)), [plain_gelu])[1] == {"plain_gelu": 0}


def test_the_step_refuses_another_file(tmp_path: Path) -> None:
    """As its own program, which any Python can start so far."""
    path = tmp_path / "other.onnx"
    path.write_bytes(b"the file of another network")
    command = [sys.executable, "-I", str(road.STEP), str(path), hashlib.sha256(b"mine").hexdigest(), "out.tflite"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "other.onnx is another file" in json.loads(done.stdout)["error"]
    assert not (tmp_path / "out.tflite").exists()


STAND_IN = """
import hashlib, json, sys
from pathlib import Path
source, digest, target = sys.argv[-3:]
made = {made!r}
Path(target).write_bytes(made)
print("noise of a converter")
print(json.dumps({said}))
"""
TOLD = '{"onnx_sha256": digest, "tflite_sha256": hashlib.sha256(b"a file").hexdigest()}'


@pytest.mark.parametrize(
    ("made", "said", "words"),
    [
        (b"a file", TOLD, None),
        (b"another file", TOLD, "not the one of this conversion"),
        (b"a file", '{"onnx_sha256": "0" * 64, "tflite_sha256": hashlib.sha256(made).hexdigest()}', "not the one"),
        (b"", '{"error": "Exception: \'tf.Erf\' op is neither a custom op nor a flex op"}', "no built-in.*tf.Erf"),
        (b"", '{"error": "KeyError: no handler"}', "cannot take the network: KeyError: no handler"),
        (b"", '"nothing"', "exit code 0"),
    ],
)
def test_what_comes_back_is_checked(made: bytes, said: str, words: str | None, tmp_path: Path, monkeypatch) -> None:
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN.format(made=made, said=said))
    monkeypatch.setattr(road, "python_in", lambda folder: [sys.executable, str(stand_in)])
    if words is None:
        assert road.through_tensorflow(b"onnx", tmp_path, tmp_path) == b"a file"
        return
    with pytest.raises(InputError, match=words):
        road.through_tensorflow(b"onnx", tmp_path, tmp_path)


def test_an_operator_that_the_road_has_no_way_for_is_named_with_its_module() -> None:
    with pytest.raises(InputError, match=r"aten.gelu.*module activation \(GELU\).*Erf: TFLite has none"):
        program.lower(Gelu(), torch.zeros(1, 4), without={"Erf": "TFLite has none"})


def test_without_its_environment_it_says_what_makes_it(given: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path / "phones"))
    for route in ("onnx-tf", "both"):
        assert to_tflite.main([*given, "--route", route, "--out", str(tmp_path / route)]) == 2
        assert "dermedge setup onnx-tf" in capsys.readouterr().err
    assert to_tflite.main([*given, "--route", "onnx-tf", "--recipe", "int8"]) == 2
    assert "int8 is measured on the direct road" in capsys.readouterr().err


def inside(**values: np.ndarray) -> Inside:
    ops = tuple(Op(n, "CONV_2D", name, ("image",), (name,), Precision()) for n, name in enumerate(values))
    return Inside("image", ops, {name: [value] for name, value in values.items()})


@pytest.mark.parametrize("sides", [(64, 32), (64, 64)], ids=["another_network", "a_run_that_fails"])
def test_whatever_fails_no_interpreter_stays_open(sides: tuple[int, int], tmp_path: Path, monkeypatch) -> None:
    opened = []

    class Interpreter:
        classes, closed = 2, False

        def __init__(self, path: Path) -> None:
            self.side = sides[len(opened)]
            opened.append(self)

        def run(self, images: np.ndarray) -> None:
            raise InputError("are not of one network, so to say")

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(compare, "LiteRT", Interpreter)
    monkeypatch.setattr(compare, "audit", lambda path: SimpleNamespace(operators={}))
    with pytest.raises(InputError, match="are not of one network"):
        compare.compared(tmp_path / "a.tflite", tmp_path / "b.tflite", np.zeros((1, 64, 64, 3), np.uint8))
    assert [interpreter.closed for interpreter in opened] == [True, True]


def test_numbers_are_found_in_whatever_order() -> None:
    map_ = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype(np.float32)
    turned, other = np.moveaxis(map_, 3, 1).copy(), map_.copy()
    other[0, 1, 1, 1] += 0.01
    assert layers_not_found(inside(a=map_), inside(x=turned)) == (1, [])
    assert layers_not_found(inside(a=map_), inside(x=other)) == (1, ["CONV_2D (a)"])
    assert layers_not_found(inside(a=map_), inside(x=map_[..., :2])) == (1, ["CONV_2D (a)"])


def environment_is_there() -> bool:
    return is_set_up(environment(road.ENVIRONMENT))


@pytest.mark.slow(reason="TensorFlow's converter on whole networks, a minute each")
@pytest.mark.parametrize("model", ["hierattn_xs", "hierattn_s", "hifuse_tiny_compact", "efficientnet_lite0"])
def test_the_old_road_passes_the_gate_of_fp32(model: str, sample: Path, tmp_path: Path, capsys) -> None:
    if not environment_is_there():
        pytest.skip("needs the environment that `dermedge setup onnx-tf` makes")
    flags = ["--model", model, "--untrained", "--side", "224", "--data", str(sample), "--recipe", "fp32"]
    assert to_tflite.main([*flags, "--route", "both", "--out", str(tmp_path / "direct")]) == 0, capsys.readouterr().out
    (entry,) = artifact.read(tmp_path / "direct-onnx-tf").files
    assert entry.parity is not None and entry.parity.verdict == "pass"
    record = json.loads((tmp_path / "direct-onnx-tf" / "routes.json").read_text())
    assert record["largest_delta_p"] < 1e-4 and record["layers_found"] > 0.8 * record["layers"]
    assert record["operators"]["CONV_2D"][0] <= record["operators"]["CONV_2D"][1]
