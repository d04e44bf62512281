"""The int8 .onnx file: what the runtime makes of it, that no processor's sums overflow, and what keeps it from harm."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor, nn

import dermedge
from convert._aim import Aim, Unreachable
from convert._kept_rounding import Rounding, load, save
from convert._onnx import choose as _choose
from convert._onnx.audit import audit
from convert._onnx.half import with_half_weights
from convert._onnx.layer_inputs import activations, inputs_of, moments_of
from convert._onnx.layers import Graph, rows_of
from convert._onnx.measured import check_layers
from convert._onnx.program import lower
from convert._onnx.quantise import grid_of, quantised, with_biases
from convert._onnx.rounding import Held, bounded, half_biases, held, rounding_for, scales_of
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.recipes import ONNX
from edge.runtimes.inside import look_inside
from edge.runtimes.onnx import MODES, OnnxRuntime
from edge.runtimes.open import open_any
from edge.scheme import Layer

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
SIDE, K = 32, len(PAD_UFES_20)


class Hybrid(nn.Module):
    """Convolutions of every kind, and a linear layer over places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.narrow = nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.Conv2d(16, 24, 1)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.grouped, self.wide = nn.Conv2d(24, 32, 3, padding=2, dilation=2, groups=2), nn.Conv2d(32, 31, 1)
        self.linear, self.head = nn.Linear(31, 32), nn.Linear(32, K)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.narrow(self.stem(x).relu()).clamp(0, 6)).relu()
        x = self.wide(self.grouped(x)).flatten(2).transpose(1, 2)
        return 3 * self.head(nn.functional.gelu(self.linear(x)).mean(1))


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    network = dermedge.wrap(Hybrid().eval(), list(PAD_UFES_20), side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="h")
    return lower(network.deployed(layout="NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    smooth = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8)
    return smooth.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)


@pytest.fixture(scope="module")
def rounding(content: bytes, images: np.ndarray) -> Rounding:
    graph = Graph(content)
    layers = _choose.able(graph)
    return rounding_for(layers, graph, moments_of(graph, layers, images[:16]))


@pytest.fixture(scope="module")
def holding(content: bytes, rounding: Rounding) -> dict[str, Held]:
    graph = Graph(content)
    return {layer.tensor: held(graph, layer, rounding) for layer in graph.layers}


@pytest.fixture(scope="module")
def layers(content: bytes, images: np.ndarray) -> list[Layer]:
    """Every layer in 8 bits, with the widest ranges."""
    graph = Graph(content)
    ranges = _choose.ranges_of(graph, images[:16])
    kinds = _choose.taken(_choose.described(graph), range(len(graph.layers)))
    return [
        replace(layer, input=ranges[layer.tensor][0][0], output=ranges[layer.tensor][0][1])
        if layer.kind == "static"
        else layer
        for layer in kinds
    ]


class QuantizeLinear(OpRun):
    """As the operator's page defines it, of one scale: saturate(round(x / scale) + zero)."""

    op_domain = ""

    def _run(self, x, scale, zero, **_):  # type: ignore[no-untyped-def]
        return (np.clip(np.round(x / scale) + zero, 0, 255).astype(np.uint8),)


class DequantizeLinear(OpRun):
    """(numbers - zero) scale, one scale or one for each place of the first axis."""

    op_domain = ""

    def _run(self, numbers, scale, zero, **_):  # type: ignore[no-untyped-def]
        one_each = scale.shape + (1,) * (numbers.ndim - scale.ndim) if scale.ndim else ()
        whole = numbers.astype(np.int64) - zero.astype(np.int64).reshape(one_each)
        return ((whole * scale.reshape(one_each)).astype(np.float32),)


def optimised(content: bytes, path: Path) -> Counter:
    """How often each operator stands in what ONNX Runtime makes of a file when it opens it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(path), 4
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def answers(content: bytes, images: np.ndarray, path: Path, mode: str) -> np.ndarray:
    path.write_bytes(content)
    return OnnxRuntime(path, mode=mode).run(images).probabilities


def test_the_runtime_makes_integer_operators_of_every_layer(
    content: bytes, layers: list[Layer], holding: dict[str, Held], tmp_path: Path
) -> None:
    file = quantised(content, layers, holding)
    onnx.checker.check_model(onnx.ModelProto.FromString(file), full_check=True)
    made = optimised(file, tmp_path / "seen.onnx")
    assert made["QLinearConv"] == 5 and made["DynamicQuantizeMatMul"] == 2
    assert not {"Conv", "FusedConv", "Gemm", "MatMul", "Clip", "Relu"} & set(made)


def test_onnx_itself_computes_the_same(
    content: bytes, layers: list[Layer], holding: dict[str, Held], images: np.ndarray, tmp_path: Path
) -> None:
    """By ONNX's own NumPy code, but for the two operators of which it has later versions only; a step apart at most."""
    file = quantised(content, layers, holding)
    evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(file), new_ops=[QuantizeLinear, DequantizeLinear])
    wanted = [evaluator.run(None, {"image": image[None].astype(np.float32)})[0][0] for image in images[:3]]
    for mode in MODES:
        np.testing.assert_allclose(answers(file, images[:3], tmp_path / "x.onnx", mode), wanted, atol=5e-3)


def test_it_stays_near_the_float_model(
    content: bytes, layers: list[Layer], holding: dict[str, Held], images: np.ndarray, tmp_path: Path
) -> None:
    plain, eighth = (
        answers(file, images[16:], tmp_path / "x.onnx", MODES[0])
        for file in (content, quantised(content, layers, holding))
    )
    assert 1e-6 < np.abs(plain - eighth).max() < 0.05


def saturated(numbers: np.ndarray) -> bool:
    """Whether VPMADDUBSW (Intel's manual: 16-bit sums of two neighbouring products of uint8 and int8, saturated) is
    wrong for some uint8, in (O, K): the worst are 255 for all of one sign and 0 for the others."""
    even = np.pad(numbers.astype(np.int64), [(0, 0), (0, numbers.shape[1] % 2)]).reshape(len(numbers), -1, 2)
    high, low = 255 * np.maximum(even, 0).sum(axis=2), 255 * np.minimum(even, 0).sum(axis=2)
    return bool(high.max() > 32767 or low.min() < -32768)


def test_no_processor_overflows(content: bytes, layers: list[Layer], holding: dict[str, Held]) -> None:
    graph, kinds = Graph(quantised(content, layers, holding)), set()
    for node in graph.nodes:
        expands = node.op_type == "DequantizeLinear" and node.input[0] in graph.entries
        if not expands and node.op_type != "MatMulInteger":
            continue
        numbers = graph.stored(node.input[0] if expands else node.input[1])
        if numbers.dtype != np.int8:
            continue
        if numbers.ndim == 4 and numbers.shape[1] == 1:  # depthwise: 16-bit products, added in 32 bits
            continue
        kinds.add(numbers.shape[1:])
        if numbers.ndim == 2:
            assert not saturated(numbers.T)
            continue
        for order in ((0, 1, 2, 3), (0, 2, 3, 1)):  # channels first or last: runtimes have both
            assert not saturated(numbers.transpose(order).reshape(len(numbers), -1))
    assert len(kinds) == 6
    full = np.full((1, 4), 127, np.int8)
    assert saturated(full) and saturated(-full)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_bounded_whatever_the_weights_are(content: bytes, seed: int) -> None:
    place = next(layer for layer in Graph(content).layers if layer.shape[2:] == (1, 1))
    rng = np.random.default_rng(seed)
    rows = rng.standard_t(2, (40, place.shape[1])) * (rng.random((40, 1)) > 0.1)
    nearest = np.round(rows / scales_of(rows, place))
    assert not saturated(nearest) and np.abs(nearest).max() <= 127
    pushed = bounded(nearest + rng.integers(-9, 10, nearest.shape), place)
    assert not saturated(pushed) and np.abs(pushed - nearest).max() <= 2 * 9
    assert np.array_equal(bounded(nearest, place), nearest)


def test_what_layers_read_is_what_they_multiply(content: bytes, images: np.ndarray) -> None:
    """Rows times weights and the bias give torch's own results, of every kind of layer."""
    graph = Graph(content)
    torch.manual_seed(1)
    for layer in graph.layers:
        shape = graph.shapes[layer.input]
        x = torch.randn(shape)
        rows = inputs_of(layer, x.numpy())
        weights = rows_of(graph.stored(layer.weight), layer)
        split = np.split(weights, len(rows))
        mine = np.concatenate([part @ own.T for part, own in zip(split, rows, strict=True)])  # (O, places)
        if layer.operator != "Conv":
            np.testing.assert_allclose(mine.T.reshape(-1), (x.numpy() @ weights.T).reshape(-1), atol=1e-4)
            continue
        kept = {entry.name: onnx.helper.get_attribute_value(entry) for entry in layer.node.attribute}
        wanted = nn.functional.conv2d(
            x, torch.from_numpy(graph.stored(layer.weight).copy()), None, kept["strides"], kept["pads"][:2],
            kept["dilations"], kept["group"],
        )  # fmt: skip
        np.testing.assert_allclose(mine.reshape(wanted.shape[1:]), wanted[0].numpy(), atol=1e-4)


def test_a_float_layer_between_others_is_left_alone(
    content: bytes, layers: list[Layer], holding: dict[str, Held], images: np.ndarray, tmp_path: Path
) -> None:
    """ONNX Runtime would put it into 8 bits, with one scale for all channels, if its bias were a plain constant."""
    depthwise = next(layer.tensor for layer in Graph(content).layers if layer.depthwise)
    one_loud = onnx.ModelProto.FromString(content)  # one channel a thousand times as loud: one scale cannot hold both
    entry = next(node for node in one_loud.graph.node if depthwise in node.output)
    weight = next(stored for stored in one_loud.graph.initializer if stored.name == entry.input[1])
    values = numpy_helper.to_array(weight).copy()
    values[0] *= 1000
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    loud = one_loud.SerializeToString()
    kinds = [replace(layer, kind="float") if layer.tensor == depthwise else layer for layer in layers]
    file = quantised(loud, kinds, holding)
    made = optimised(file, tmp_path / "seen.onnx")
    assert made["QLinearConv"] == 4 and made["Conv"] + made["FusedConv"] == 1

    bare = onnx.ModelProto.FromString(file)  # the same with weights and bias as they were
    node = next(node for node in bare.graph.node if depthwise in node.output)
    bias = next(stored for stored in one_loud.graph.initializer if stored.name == entry.input[2])
    bare.graph.initializer.extend([weight, bias])
    node.input[1:] = entry.input[1:]
    assert optimised(bare.SerializeToString(), tmp_path / "seen.onnx")["QLinearConv"] == 5


def test_half_precision_keeps_the_mean_of_what_a_layer_gives(
    content: bytes, rounding: Rounding, images: np.ndarray
) -> None:
    graph = Graph(content)
    layer = graph.layers[0]  # reads the picture, so that nothing before it is off
    biases = half_biases(graph, _choose.able(graph), rounding.means)
    off = {}
    for name, file in (("plain", content), ("corrected", with_biases(content, biases))):
        half = Graph(with_half_weights(file).SerializeToString())
        assert half.entries[layer.node.input[1] + "_half"].data_type == onnx.TensorProto.FLOAT16
        means = []
        for either in (graph, half):
            seen = [value[layer.output] for value in activations(either, [layer.output], images[:16], "test")]
            means.append(np.mean(seen, axis=(0, 1, 3, 4), dtype=np.float64))
        off[name] = np.abs(means[1] - means[0]).max()
    assert off["corrected"] < off["plain"] / 10


def test_a_range_holds_zero_exactly_and_its_ends_nearly() -> None:
    for low, high in ((0.0, 6.0), (-1.3, 2.9), (-4.0, 0.0), (0.5, 3.0), (0.0, 0.0)):
        step, zero = grid_of((low, high))
        held_ones = step * (np.arange(256) - zero)
        assert 0.0 in held_ones and step > 0
        assert held_ones[-1] >= high - step / 2 and held_ones[0] <= low + step / 2


def test_the_layer_that_hurts_is_left_in_float32(content: bytes, rounding: Rounding, images: np.ndarray) -> None:
    facts = {"model": "h", "checkpoint_sha256": "0", "graph": "g", "data": "none"}
    scheme = _choose.choose(content, rounding, images[:16], images[16:], facts=facts)
    alone = {layer.tensor: next(iter(layer.alone_db.values())) for layer in scheme.layers}
    assert set(alone) == {layer.tensor for layer in Graph(content).layers} and min(alone.values()) > 10
    assert scheme.measured["sqnr_db"] >= scheme.budget_db
    with pytest.raises(Unreachable, match=r"not made: with .* its gate asks for at least 90 dB"):
        strict = replace(ONNX["int8"].gate, median_sqnr_db=90.0)
        _choose.choose(content, rounding, images[:16], images[16:], facts=facts, aim=Aim(strict, binding=True))


def test_a_kept_rounding_that_was_changed_is_refused(content: bytes, rounding: Rounding, tmp_path: Path) -> None:
    path, graph = tmp_path / "x.onnx.rounding.npz", Graph(content)
    save(path, rounding, checkpoint_sha256="a", key="k")
    again = load(path, checkpoint_sha256="a", key="k")
    assert again is not None and load(path, checkpoint_sha256="b", key="k") is None
    layer = graph.layers[1]
    np.testing.assert_array_equal(held(graph, layer, again).whole, held(graph, layer, rounding).whole)
    for steps, means in (
        ({**again.steps, layer.weight: np.zeros(3, np.int8)}, again.means),
        (again.steps, {**again.means, layer.weight: np.full_like(again.means[layer.weight], np.nan)}),
        (again.steps, {}),
    ):
        with pytest.raises(InputError, match=r"does not fit.*measure_again"):
            held(graph, layer, Rounding(steps, means))


def test_the_file_says_what_is_in_8_bits(
    content: bytes, layers: list[Layer], holding: dict[str, Held], images: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "x.onnx").write_bytes(quantised(content, layers, holding))
    made_of = audit(tmp_path / "x.onnx")
    assert made_of.share_8bit == 1.0 and made_of.macs_weights == Graph(content).macs_weights
    assert made_of.operators["Conv"] == 5 and made_of.operators["MatMulInteger"] == 2
    inside = look_inside(tmp_path / "x.onnx", "onnx", images[:1])
    assert {op.precision.weights for op in inside.ops if op.kind in {"Conv", "MatMulInteger"}} == {8}
    assert {op.precision.given for op in inside.ops if op.kind == "DynamicQuantizeLinear"} == {8}
    linear = next(layer.output for layer in Graph(content).layers if layer.operator == "MatMul")
    adder = next(node for node in Graph(content).nodes if linear in node.input)
    assert linear not in inside.values and adder.output[0] in inside.values  # a layer's bias makes up for its weights
    answer = OnnxRuntime(tmp_path / "x.onnx").run(images[:1]).probabilities
    np.testing.assert_allclose(inside.values["probabilities"][0], answer, atol=5e-3)

    kinds = [replace(layer, kind="float") if layer.operator == "MatMul" else layer for layer in layers]
    (tmp_path / "y.onnx").write_bytes(quantised(content, kinds, holding))
    fewer = audit(tmp_path / "y.onnx")
    assert fewer.macs_weights is not None
    own = next(layer.macs for layer in layers if layer.operator == "MatMul")
    assert fewer.share_8bit == pytest.approx(1 - own / fewer.macs_weights)


@pytest.mark.slow(reason="a whole conversion: measures on drawn pictures and judges")
def test_a_conversion_judges_it_by_the_gate_of_every_int8_file(tmp_path: Path, sample: Path) -> None:
    torch.manual_seed(0)
    network = dermedge.wrap(Hybrid().eval(), list(PAD_UFES_20), side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="h")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        build = dermedge.convert(network, formats=["onnx"], recipes=["int8"], photos=sample, out=tmp_path / "build")
    (entry,) = build.manifest.files
    assert entry.parity is not None and entry.parity.verdict in {"pass", "inconclusive"}
    assert entry.audit is not None and entry.audit.share_8bit is not None and entry.audit.share_8bit >= 0.8
    assert set(build.schemes()) == {"onnx"}
    open_any(build.folder / entry.file).runtime.close()


@pytest.mark.parametrize(
    ("operator", "kind", "wanted"),
    [("Conv", "dynamic", "float or static"), ("MatMul", "static", "float or dynamic"),
     ("ConvTranspose", "static", "a ConvTranspose float;")],
)  # fmt: skip
def test_a_kept_scheme_with_a_kind_that_the_operator_cannot_have_is_refused(operator, kind, wanted):
    layer = Layer("w", operator, kind, 10)
    scheme = SimpleNamespace(model="net", layers=[layer])
    with pytest.raises(InputError, match=f"has '{kind}' for w; expected of .*{wanted}"):
        check_layers(scheme, SimpleNamespace(layers=[layer]))
    for good in ("float", *({"Conv": ["static"], "MatMul": ["dynamic"]}.get(operator, []))):
        layers = [replace(layer, kind=good)]
        check_layers(SimpleNamespace(model="net", layers=layers), SimpleNamespace(layers=layers))
