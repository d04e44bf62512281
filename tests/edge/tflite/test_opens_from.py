"""Which release opens a file: the table against Android's own libraries, of every version that is set up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from convert._tflite.file import lower
from convert._tflite.quantise import recipe_file
from edge.phones import android
from edge.tflite.flatbuffer import operator_names
from edge.tflite.opens_from import RELEASES, opens_from, release_of
from edge.tflite.versions import FLOAT32, INT2, INT4, INT8, INT32
from tests._phones import ANDROID, needs_android

# 2.4 opened versions that 2.5 refused.
OLD_AND_NEW = [version for version in ANDROID if int(version.split(".")[1]) >= 5]
CODES = {name: code for code, name in operator_names().items()}


def file_with(*operators: tuple[str, int]) -> bytes:
    """A file that only lists operators, name and version; a runtime looks each up when it opens the file."""
    model, graph, tensor = schema.ModelT(), schema.SubGraphT(), schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = np.array([1], np.int32), 0, 0, b"image"
    graph.tensors, graph.operators = [tensor], []
    graph.inputs = graph.outputs = np.array([0], np.int32)
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], []
    for name, version in operators:
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = CODES[name], version
        code.deprecatedBuiltinCode = min(CODES[name], 127)
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs = operator.outputs = np.array([0], np.int32)
        graph.operators.append(operator)
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_types(content: bytes, *types: int) -> bytes:
    """The same, every operator reading one tensor of each type."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for number, kind in enumerate(types, 1):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = np.array([1], np.int32), kind, 0, b"t%d" % number
        graph.tensors.append(tensor)
    for operator in graph.operators:
        operator.inputs = np.arange(1, len(types) + 1, dtype=np.int32)
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def listed(content: bytes) -> bytes:
    """The same without the operators: only the list of codes is left, which is what opening checks."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.subgraphs[0].operators = []
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def opens(version: str, content: bytes, folder: Path) -> bool:
    path = folder / "x.tflite"
    path.write_bytes(content)
    done = subprocess.run(
        android.command("x86_64", path, version=version, xnnpack=False), input=b"", capture_output=True
    )
    refused = done.returncode == 3 or b"Didn't find op" in done.stderr  # 2.5 crashes after it has said so
    assert refused or done.returncode == 0, done.stderr
    return not refused


@pytest.mark.slow(reason="starts runtimes of many years")
@needs_android
@pytest.mark.parametrize("version", OLD_AND_NEW)
def test_the_library_opens_what_the_table_says_and_refuses_the_rest(version: str, tmp_path: Path) -> None:
    release = tuple(int(part) for part in version.split(".")[:2])
    wrong = []
    for name, releases in RELEASES.items():
        for number in range(1, len(releases.split()) + 1):
            first = release_of(name, number)
            expected = first is not None and release >= first
            if opens(version, listed(file_with((name, number))), tmp_path) != expected:
                wrong.append((name, number, first))
    assert wrong == []


def test_the_newest_operator_counts() -> None:
    assert opens_from(file_with(("ADD", 1))) == "LiteRT / TFLite 1.5"
    assert opens_from(file_with(("ADD", 1), ("GELU", 1), ("CONV_2D", 5))) == "LiteRT / TFLite 2.8"
    assert opens_from(file_with(("FULLY_CONNECTED", 12), ("GELU", 1))) == "LiteRT / TFLite 2.17"
    assert opens_from(file_with(("ADD", 9), ("GELU", 1))) == "a LiteRT that knows ADD version 9"


def test_types_count_where_a_release_opens_the_version_and_refuses_them() -> None:
    transposed = file_with(("TRANSPOSE_CONV", 3))
    assert opens_from(with_types(transposed, INT32, FLOAT32, FLOAT32)) == "LiteRT / TFLite 2.3"
    assert "knows TRANSPOSE_CONV of float32" in opens_from(with_types(transposed, INT32, INT8, FLOAT32))
    assert opens_from(with_types(file_with(("CAST", 1)), INT4)) == "LiteRT / TFLite 2.14"
    assert opens_from(with_types(file_with(("CAST", 1)), INT2)) == "a LiteRT that knows tensors of 2 bits"


@needs_android
def test_a_transposed_convolution_with_8_bit_weights_is_refused_there(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.up = nn.Conv2d(3, 16, 3), nn.ConvTranspose2d(16, 32, 2, 2)
            self.head = nn.Linear(32, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.up(self.stem(x.permute(0, 3, 1, 2) / 255)))
            return torch.softmax(self.head(x.mean((2, 3))), -1)

    torch.manual_seed(0)
    float32 = lower(Net().eval(), torch.zeros(1, 16, 16, 3)).content
    content = recipe_file("int8-dynamic", float32, float32, None)
    assert opens_from(content).startswith("a LiteRT that knows TRANSPOSE_CONV")
    assert not opens(ANDROID[-1], content, tmp_path)
