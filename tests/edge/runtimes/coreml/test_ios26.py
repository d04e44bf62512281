"""Programs of iOS 26: the operations of iOS 18, and inputs and outputs of int8."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import InputError
from edge.runtimes import coreml
from tests.edge.runtimes.coreml.test_damage import edited

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")


def converted(net: nn.Module, example: torch.Tensor, kind: type) -> ct.models.MLModel:
    return ct.convert(
        torch.jit.trace(net.eval(), example),
        inputs=[ct.TensorType("x", example.shape, kind)],
        outputs=[ct.TensorType("y", dtype=kind)],
        minimum_deployment_target=ct.target.iOS26,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )


def opened(package: ct.models.MLModel, path: Path) -> coreml.CoreMLModel:
    package.save(str(path))
    model = coreml.load(path)
    assert model.program.opset == "CoreML9"
    return model


class Halved(nn.Module):
    """In whole numbers, as the layers of an 8-bit network hand them on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.float() / 2 + 0.25).round().to(torch.int8)


def test_inputs_and_outputs_of_int8_equal_torch(tmp_path: Path) -> None:
    x = np.array([-128, -127, -2, 0, 1, 127], np.int8)
    model = opened(converted(Halved(), torch.from_numpy(x), np.int8), tmp_path / "m.mlpackage")
    assert [value.element for value in model.program.inputs] == ["INT8"]
    y = model.predict({"x": x})["y"]
    assert y.dtype == np.int8
    np.testing.assert_array_equal(y, Halved()(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize("value", [128, -129, 1.5, 2**40, np.nan])
def test_a_number_that_int8_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    """It would wrap around, or lose its fraction, without a word."""
    model = opened(converted(Halved(), torch.zeros(2, dtype=torch.int8), np.int8), tmp_path / "m.mlpackage")
    with pytest.raises(InputError, match=f"input x takes whole numbers of int8, -128 to 127, got {value}"):
        model.predict({"x": np.array([0, value])})
    assert model.predict({"x": np.array([0, 127.0])})["y"].tolist() == [0, 64]  # whole, whatever its type


def test_palettes_of_8_bit_numbers(tmp_path: Path) -> None:
    """coremltools orders the two steps of their expansion differently from iOS 26 on."""
    torch.manual_seed(0)
    net = nn.Linear(64, 32)
    x = torch.randn(2, 64)
    package = converted(net, x, np.float32)
    palettes = cto.OptimizationConfig(cto.OpPalettizerConfig(mode="kmeans", nbits=4, weight_threshold=0))
    numbers = cto.OptimizationConfig(
        cto.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_tensor", weight_threshold=0)
    )
    package = cto.linear_quantize_weights(cto.palettize_weights(package, palettes), numbers, joint_compression=True)
    model = opened(package, tmp_path / "m.mlpackage")
    kinds = {operation.kind for operation in model.program.operations}
    assert {"constexpr_lut_to_dense", "constexpr_blockwise_shift_scale"} <= kinds
    answer = model.predict({"x": x.numpy()})["y"]
    plain = opened(cto.decompress_weights(package), tmp_path / "plain.mlpackage").predict({"x": x.numpy()})["y"]
    np.testing.assert_allclose(answer, plain, rtol=1e-5, atol=1e-6)
    assert np.abs(answer - net(x).detach().numpy()).max() < 0.3 * np.abs(answer).max()


def test_a_later_op_set_is_named(tmp_path: Path) -> None:
    package = converted(Halved(), torch.zeros(2, dtype=torch.int8), np.int8)
    package.save(str(tmp_path / "m.mlpackage"))

    def later(spec) -> None:
        spec.mlProgram.functions["main"].opset = "CoreML10"

    with pytest.raises(InputError, match=r"op set CoreML10; known are .*CoreML9 \(iOS 15 to 26\)"):
        coreml.load(edited(tmp_path / "m.mlpackage", later))
