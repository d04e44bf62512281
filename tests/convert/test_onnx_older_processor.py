"""An int8 .onnx file on a processor with AVX2 and without VNNI, whose 16-bit sums saturate: emulated by QEMU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import dermedge
from convert._onnx.choose import described, taken
from convert._onnx.layer_inputs import moments_of
from convert._onnx.layers import Graph, rows_of
from convert._onnx.program import lower
from convert._onnx.quantise import quantised
from convert._onnx.rounding import Held, held, rounding_for
from edge.labels import PAD_UFES_20
from edge.runtimes.onnx import OnnxRuntime

QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
SIDE, K = 32, len(PAD_UFES_20)
SCRIPT = """
import json, sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 4
picture = numpy.full((1, 32, 32, 3), 255, numpy.float32)
answers = []
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    answers.append(session.run(None, {"image": picture})[0][0].tolist())
print(json.dumps(answers))
"""


class Bright(nn.Module):
    """A linear layer whose weights are all positive, over a picture's squares."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(48, K)
        with torch.no_grad():
            self.head.weight.uniform_(0.5, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.avg_pool2d(x, 8).flatten(1))


@pytest.mark.slow(reason="ONNX Runtime on an emulated processor")
@pytest.mark.skipif(not QEMU, reason="needs QEMU: apt-get install qemu-user-static")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
def test_a_processor_without_vnni_gives_the_same_answers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = dermedge.wrap(Bright().eval(), list(PAD_UFES_20), side=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3, name="b")
    content = lower(network.deployed(layout="NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content
    graph = Graph(content)
    (layer,) = graph.layers
    white = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    own = held(graph, layer, rounding_for(graph.layers, graph, moments_of(graph, graph.layers, white)))
    rows = rows_of(graph.stored(layer.weight), layer)
    steps = np.abs(rows).max(axis=1, keepdims=True) / 127
    usual = Held(steps[:, 0].astype(np.float32), np.round(rows / steps).astype(np.int8), own.bias)
    kinds = taken(described(graph), [0])
    files = []
    for name, weights in (("ours", own), ("usual", usual)):
        files.append(tmp_path / f"{name}.onnx")
        files[-1].write_bytes(quantised(content, kinds, {layer.tensor: weights}))
    plain = [OnnxRuntime(path, mode="onnxruntime-plain").run(white).probabilities[0] for path in files]

    packages = Path(onnxruntime.__file__).parents[1]
    done = subprocess.run(
        [str(QEMU), "-cpu", "Haswell", str(Path(sys.executable).resolve()), "-c", SCRIPT, *map(str, files)],
        env={"PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-500:]
    ours, others = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(ours, plain[0], atol=1e-5)
    assert np.abs(np.array(others) - plain[1]).max() > 0.01  # else this shows nothing
