"""Ops on single numbers, activations, reductions, stored weights and labels, against Apple's own values and NumPy."""

from __future__ import annotations

import math
from pathlib import Path

import coremltools as ct
import coremltools.optimize as cto
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from PIL import Image
from torch import nn

from edge.runtimes import coreml
from tests.edge.coreml._programs import run

# coremltools looks into its own table of operators in a way that it calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")

X = np.array([[-2.5, -1.0, -0.5, 0.0], [0.5, 0.9, 1.5, 4.0]], np.float32)
P = np.abs(X) + 0.1  # positive
U = np.clip(X / 5, -0.9, 0.9)  # inside (-1, 1)
Y = np.array([[2.0, -3.0, 0.7, 1.0]], np.float32)  # broadcast over rows


def apple(op: str, **values) -> np.ndarray:
    """What the op's own NumPy semantics say, from constants."""
    found = {}

    @mb.program(input_specs=[mb.TensorSpec(shape=(1,))], opset_version=ct.target.iOS17)
    def made(unused):
        found["value"] = getattr(mb, op)(**values).val
        return unused

    return np.asarray(found["value"])


UNARY = {
    "abs": X, "acos": U, "asin": U, "atan": X, "atanh": U, "ceil": X, "cos": X, "cosh": X, "erf": X, "exp": X,
    "exp2": X,
    "floor": X, "round": X, "sign": X, "sin": X, "sinh": X, "sqrt": P, "square": X, "tan": U, "tanh": X, "relu": X,
    "relu6": X * 3, "sigmoid": X, "silu": X, "softplus": X, "softsign": X,
}  # fmt: skip


DEFINED = {  # ops without NumPy semantics of Apple's
    "relu6": lambda x: np.clip(x, 0, 6), "silu": lambda x: x / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
}  # fmt: skip


def wanted(name: str, x: np.ndarray) -> np.ndarray:
    return DEFINED[name](x) if name in DEFINED else apple(name, x=x)


def test_functions_of_one_number_are_apples() -> None:
    names = list(UNARY)

    def build(**inputs):
        return tuple(getattr(mb, name)(x=inputs[f"x_{name}"]) for name in names)

    found = run(build, {f"x_{name}": UNARY[name].astype(np.float32) for name in names})
    for name, value in zip(names, found, strict=True):
        np.testing.assert_allclose(
            value, wanted(name, UNARY[name].astype(np.float32)), rtol=2e-6, atol=1e-6, err_msg=name
        )


BINARY = ("add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum")
COMPARING = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")


def test_pairs_are_apples_and_broadcast() -> None:
    def build(x, y, p):
        return (
            *(getattr(mb, name)(x=x, y=y) for name in BINARY),
            mb.pow(x=p, y=y),
            *(mb.cast(x=getattr(mb, name)(x=x, y=y), dtype="fp32") for name in COMPARING),
        )

    found = run(build, {"x": X, "y": Y, "p": P})
    names = (*BINARY, "pow", *COMPARING)
    for name, value in zip(names, found, strict=True):
        x = P if name == "pow" else X
        np.testing.assert_allclose(value, apple(name, x=x, y=Y).astype(np.float32), rtol=2e-6, atol=1e-6, err_msg=name)


WITH_NUMBERS = {
    "clip": {"alpha": -0.6, "beta": 1.1}, "inverse": {"epsilon": 0.2}, "log": {"epsilon": 5.0},
    "rsqrt": {"epsilon": 5.0},
    "threshold": {"alpha": 0.4}, "clamped_relu": {"alpha": 0.3, "beta": 1.2}, "elu": {"alpha": 1.3},
    "leaky_relu": {"alpha": 0.2}, "linear_activation": {"alpha": 0.5, "beta": 2.0}, "scaled_tanh": {"alpha": 1.5,
    "beta": 0.7},
    "sigmoid_hard": {"alpha": 0.4, "beta": 0.3}, "thresholded_relu": {"alpha": 0.5},
}  # fmt: skip


def test_functions_with_numbers_are_apples() -> None:
    options = {name: {k: np.float32(v) for k, v in given.items()} for name, given in WITH_NUMBERS.items()}

    def build(x):
        return tuple(getattr(mb, name)(x=x, **given) for name, given in options.items())

    for (name, given), value in zip(options.items(), run(build, {"x": X}), strict=True):
        np.testing.assert_allclose(value, apple(name, x=X, **given), rtol=2e-6, atol=2e-6, err_msg=name)


def test_gelu_softmax_and_channels() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)
    slope, beta = np.float32([0.1, 0.5, 2.0]), np.float32([1.0, 2.0, 0.5])

    def build(x):
        modes = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
        return (
            *(mb.gelu(x=x, mode=mode) for mode in modes), mb.softmax(x=x, axis=1), mb.prelu(x=x, alpha=slope),
            mb.softplus_parametric(x=x, alpha=slope, beta=beta),
        )  # fmt: skip

    exact, tanh, sigmoid, soft, prelu, plus = run(build, {"x": x})
    phi = np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)
    np.testing.assert_allclose(exact, x * phi, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        tanh, 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(sigmoid, x / (1 + np.exp(-1.702 * x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(soft, np.exp(x) / np.exp(x).sum(1, keepdims=True), rtol=1e-5)
    a, b = slope.reshape(1, 3, 1, 1), beta.reshape(1, 3, 1, 1)
    np.testing.assert_allclose(prelu, np.where(x >= 0, x, a * x), rtol=1e-6)
    np.testing.assert_allclose(plus, a * np.log1p(np.exp(b * x)), rtol=1e-5, atol=1e-6)


REDUCTIONS = ("l1_norm", "l2_norm", "log_sum", "log_sum_exp", "max", "mean", "min", "prod", "sum", "sum_square")


@pytest.mark.parametrize(("axes", "keep"), [([-1], False), ([0, 2], True), (None, False)])
def test_reductions_are_apples(axes: list[int] | None, keep: bool) -> None:
    x = np.random.default_rng(1).uniform(0.2, 1.5, size=(2, 3, 4)).astype(np.float32)

    def build(x):
        return tuple(getattr(mb, f"reduce_{name}")(x=x, axes=axes, keep_dims=keep) for name in REDUCTIONS)

    for name, value in zip(REDUCTIONS, run(build, {"x": x}), strict=True):
        wanted = apple(f"reduce_{name}", x=x, axes=axes, keep_dims=keep)
        np.testing.assert_allclose(value.reshape(wanted.shape), wanted, rtol=1e-5, err_msg=name)


def test_the_first_of_equal_extremes() -> None:
    x = np.float32([[1, 3, 3, 0], [0, 0, -1, -1]])
    high, low = run(lambda x: (mb.reduce_argmax(x=x, axis=1), mb.reduce_argmin(x=x, axis=1)), {"x": x})
    np.testing.assert_array_equal(high, [1, 0])
    np.testing.assert_array_equal(low, [3, 2])


def test_half_precision_rounds_after_every_op() -> None:
    x = np.random.default_rng(2).normal(size=(64,)).astype(np.float32)
    (found,) = run(lambda x: mb.exp(x=mb.mul(x=x, y=np.float32(1.7))), {"x": x}, half=True)
    wanted = np.exp((x.astype(np.float16) * np.float16(1.7)).astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(found.astype(np.float16), wanted)


# Weights as they are stored


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = nn.Conv2d(3, 32, 3), nn.Linear(32, 64)

    def forward(self, x):
        return torch.softmax(self.linear(torch.relu(self.conv(x)).mean((2, 3))), -1)


def converted(ios: int = 18, **options):
    example = torch.rand(1, 3, 16, 16)
    program = torch.export.export(Small().eval(), (example,)).run_decompositions({})
    target = {16: ct.target.iOS16, 18: ct.target.iOS18}[ios]
    return ct.convert(program, minimum_deployment_target=target, skip_model_load=True, **options)


def linear(**options):
    return lambda m: cto.coreml.linear_quantize_weights(
        m, cto.coreml.OptimizationConfig(cto.coreml.OpLinearQuantizerConfig(weight_threshold=0, **options))
    )


def palette(**options):
    return lambda m: cto.coreml.palettize_weights(
        m, cto.coreml.OptimizationConfig(cto.coreml.OpPalettizerConfig(mode="uniform", weight_threshold=0, **options))
    )


def pruned(m):
    return cto.coreml.prune_weights(
        m, cto.coreml.OptimizationConfig(cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=0))
    )


STORED = {
    "int8 per channel": (16, linear()),
    "uint8 per tensor": (16, linear(mode="linear", dtype="uint8", granularity="per_tensor")),
    "palette 16": (16, palette(nbits=4)), "palette of 6 bits": (16, palette(nbits=6)), "sparse 16": (16, pruned),
    "int4 blocks": (18, linear(dtype="int4", granularity="per_block", block_size=16)), "sparse 18": (18, pruned),
    "palettes of groups": (18, palette(nbits=3, granularity="per_grouped_channel", group_size=8)),
    "uint4 channels": (18, linear(mode="linear", dtype="uint4")), "palette of 1 bit": (18, palette(nbits=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", STORED)
def test_stored_weights_are_those_that_coremltools_unpacks(kind: str, tmp_path: Path) -> None:
    ios, compress = STORED[kind]
    model = compress(converted(ios))
    whole = cto.coreml.decompress_weights(model)
    answers = []
    for name, one in (("stored", model), ("whole", whole)):
        one.save(str(tmp_path / f"{name}.mlpackage"))
        opened = coreml.load(tmp_path / f"{name}.mlpackage")
        kinds = {op.kind for op in opened.program.operations}
        assert any(op.startswith("constexpr_") for op in kinds) == (name == "stored")
        x = np.random.default_rng(3).normal(size=(1, 3, 16, 16)).astype(np.float32)
        answers.append(next(iter(opened.predict({opened.input_description[0].name: x}).values())))
    np.testing.assert_allclose(answers[0], answers[1], rtol=2e-3, atol=1e-4)
    assert np.ptp(answers[0]) > 1e-3


# What goes in and comes out


@pytest.mark.parametrize(("colours", "mode"), [("RGB", "RGB"), ("BGR", "RGB"), ("GRAYSCALE", "L")])
def test_images_with_scale_and_bias_and_labels(colours: str, mode: str, tmp_path: Path) -> None:
    channels = 1 if mode == "L" else 3

    class Mean(nn.Module):
        def forward(self, x):
            return torch.softmax(torch.cat([x.mean((2, 3)), x.amax((1, 2, 3)).reshape(1, 1)], 1), 1)

    example = torch.rand(1, channels, 8, 12)
    program = torch.export.export(Mean(), (example,)).run_decompositions({})
    labels = [f"class {n}" for n in range(channels + 1)]
    model = ct.convert(
        program, skip_model_load=True, minimum_deployment_target=ct.target.iOS16,
        inputs=[ct.ImageType(name="photo", shape=example.shape, scale=1 / 255,
                             bias=[0.1] * channels if channels > 1 else 0.1,
                             color_layout=getattr(ct.colorlayout, colours))],
        classifier_config=ct.ClassifierConfig(labels), compute_precision=ct.precision.FLOAT32,
    )  # fmt: skip
    model.save(str(tmp_path / "m.mlpackage"))
    pixels = np.random.default_rng(4).integers(0, 256, (8, 12, 3) if channels == 3 else (8, 12), dtype=np.uint8)
    opened = coreml.load(tmp_path / "m.mlpackage")
    found = opened.predict({"photo": Image.fromarray(pixels)})
    planes = pixels.reshape(8, 12, channels).transpose(2, 0, 1)[None].astype(np.float32)
    if colours == "BGR":
        planes = planes[:, ::-1]
    x = torch.from_numpy(planes.copy()) / 255 + 0.1
    wanted = Mean()(x)[0].numpy()
    by_label = next(value for value in found.values() if isinstance(value, dict))
    np.testing.assert_allclose([by_label[label] for label in labels], wanted, rtol=1e-5)
    assert labels[int(wanted.argmax())] in [value for value in found.values() if isinstance(value, str)]
