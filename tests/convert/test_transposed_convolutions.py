"""Transposed convolutions: other forms compute the same, files compute what torch does, 8 bits reach them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert._graph.graph import aten, trace
from convert._graph.passes import channels_last, fold_batchnorm, rearrange, rewrite, transposed_convolutions
from convert._tflite.audit import audit
from convert._tflite.choose import choose
from convert._tflite.emit import emit
from convert._tflite.file import lower, unpack
from convert._tflite.layer_inputs import inputs_of, moments_of
from convert._tflite.layers import weighted
from convert._tflite.quantise import quantise, recipe_file
from convert._tflite.rounding import rounded, rounding_for
from edge.accelerators import is_notice
from edge.models.deployed import Deployed
from edge.runtimes.litert import LiteRT
from tests.convert._rewriting import Of, count, rewritten, settled
from tests.convert.tflite.test_emit import Picture, answer, file_of, operators


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


PLAIN = {
    "2 by 2": {"kernel_size": 2, "stride": 2},
    "4 by 4, padded": {"kernel_size": 4, "stride": 2, "padding": 1},
    "3 by 3": {"kernel_size": 3, "stride": 2},
    "3 by 3, padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "without padding, one more behind": {"kernel_size": 3, "stride": 2, "output_padding": 1},
    "two strides": {"kernel_size": (2, 3), "stride": (2, 3), "bias": False},
}


@pytest.mark.parametrize("options", PLAIN.values(), ids=list(PLAIN))
def test_what_a_file_has_is_left_alone(x, options):
    assert count(rewritten(transposed_convolutions, nn.ConvTranspose2d(4, 6, **options), x, fires=0), "slice") == 0


CUT = {
    "3 by 3, padded, one more behind": ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, 2),
    "5 by 3": ({"kernel_size": (5, 4), "stride": 2, "padding": (2, 0), "bias": False}, 1),
    "more behind than cut off": ({"kernel_size": 5, "stride": 3, "padding": 1, "output_padding": 2}, 2),
    "more cut off than the kernel reaches": ({"kernel_size": (2, 1), "stride": (2, 3), "padding": 2}, 2),
    "the same, more behind": ({"kernel_size": 1, "stride": 3, "padding": 2, "output_padding": 2, "bias": False}, 2),
    "groups with two strides": ({"kernel_size": 3, "stride": (2, 3), "groups": 2}, 0),
    "more behind than a step": ({"kernel_size": 3, "stride": (2, 1), "output_padding": (1, 2), "dilation": 3}, 0),
}


@pytest.mark.parametrize(("options", "slices"), CUT.values(), ids=list(CUT))
def test_other_borders_are_cut_off_afterwards(x, options, slices):
    graph = rewritten(transposed_convolutions, nn.ConvTranspose2d(4, 6, **options), x, fires=1)
    assert count(graph, "conv_transpose2d") == 1 and count(graph, "slice") == slices


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 2}, {"dilation": (2, 1), "padding": (2, 1)}, {"bias": False}, {"padding": 3},
        {"padding": 1, "output_padding": 1, "dilation": 2},
        {"padding": 3, "output_padding": 2, "dilation": 3, "groups": 2},
    ],
)  # fmt: skip
def test_stride_one_is_a_convolution(x, options):
    graph = rewritten(transposed_convolutions, nn.ConvTranspose2d(4, 6, 3, **options), x, fires=1)
    assert count(graph, "conv2d") == 1 and count(graph, "transpose") == 0


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_gaps_become_zeros(x, padding):
    net = nn.ConvTranspose2d(4, 6, 3, 2, padding, 1, dilation=(1, 3))
    graph = rewritten(transposed_convolutions, net, x, fires=1)
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.conv_transpose2d.input)
    assert node.args[1].meta["val"].shape == (4, 6, 3, 7) and len(node.args) < 8


GROUPS = [
    {"kernel_size": k, "stride": s, "padding": p, "output_padding": e, "groups": g}
    for (k, s, p, e), g in itertools.product(
        [
            (4, 2, 1, 0),
            (2, 2, 0, 0),
            (3, 2, 1, 1),
            (5, 3, 2, 1),
            (1, 3, 0, 2),
            (2, 2, 2, 1),
            (1, 3, 2, 0),
            ((3, 2), 2, (2, 1), (0, 1)),
        ],
        [2, 4],
    )
]


@pytest.mark.parametrize("options", GROUPS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_groups_are_a_convolution_and_a_shuffle(x, options, bias):
    net = nn.Sequential(nn.ConvTranspose2d(4, 8, **options, bias=bias), nn.ReLU())
    graph = rewritten(transposed_convolutions, net, x, fires=1)
    assert count(graph, "pixel_shuffle") == count(graph, "conv2d") == 1 and count(graph, "transpose") == 0


def test_a_computed_kernel_is_left_alone(x):
    net = Of(lambda m, x: nn.functional.conv_transpose2d(x, m.c.weight * x.mean()), c=nn.ConvTranspose2d(4, 6, 3))
    rewritten(transposed_convolutions, net, x, fires=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_batch_norm_is_folded_into_one(x, groups):
    net = nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=groups, bias=groups == 1), nn.BatchNorm2d(6))
    assert count(rewritten(fold_batchnorm, net, x, fires=1), "batch_norm") == 0


FILES = PLAIN | {name: options for name, (options, _) in CUT.items()} | {
    "stride 1": {"kernel_size": 3, "padding": 1},
    "dilated": {"kernel_size": 3, "stride": 2, "padding": 2, "dilation": 2},
    "groups": {"kernel_size": 4, "stride": 2, "padding": 1, "groups": 2},
    "depthwise": {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 4},
}  # fmt: skip


@pytest.mark.parametrize("options", FILES.values(), ids=list(FILES))
def test_files_compute_what_torch_does(options):
    layers = {"a": nn.Conv2d(4, 4, 1), "c": nn.ConvTranspose2d(4, 8, **options), "n": nn.BatchNorm2d(8)}
    net = settled(Picture(lambda m, x: torch.relu(m.n(m.c(torch.relu(m.a(x))))), **layers)).float()
    x = torch.randn(1, 5, 7, 4)
    content = file_of(net, x)
    expected = net(x).detach().numpy()
    for reference in (False, True):
        np.testing.assert_allclose(answer(content, x, reference=reference), expected, atol=2e-5, rtol=2e-5)
    assert operators(content).count("TRANSPOSE") <= 2 + 2 * ("groups" in options)


def test_the_audit_counts_its_products(tmp_path):
    net = Picture(lambda m, x: m.c(x), c=nn.ConvTranspose2d(4, 5, 3, 2, 1)).eval()
    path = tmp_path / "x.tflite"
    path.write_bytes(file_of(net, torch.zeros(1, 6, 7, 4)))
    found = audit(path)
    assert found.macs == found.macs_weights == 6 * 7 * 4 * 5 * 9 and found.macs_8bit == 0
    path.write_bytes(quantise(path.read_bytes(), "int8-dynamic"))
    found = audit(path)
    assert found.macs_8bit == found.macs and found.xnnpack_partitions == 1


@pytest.mark.parametrize("options", [(2, 2), (4, 2), (3, 1), ((2, 3), (1, 3))], ids=str)
def test_what_its_weights_are_multiplied_with(options):
    """H is J^T J for the Jacobian J of an output channel by its weights."""
    net = nn.ConvTranspose2d(3, 2, *options, bias=False).requires_grad_(False)
    content = emit(
        rewrite(trace(Picture(lambda m, x: m.c(x), c=net), torch.zeros(1, 3, 4, 3)), (channels_last, rearrange))[0],
        inputs=["image"],
        outputs=["probabilities"],
    )
    (layer,) = weighted(unpack(content))
    x = torch.randn(1, 3, 4, 3, generator=torch.Generator().manual_seed(1))
    rows = inputs_of(layer, x.numpy())[0]
    jacobian = torch.func.jacrev(
        lambda w: torch.nn.functional.conv_transpose2d(x.permute(0, 3, 1, 2), w, stride=net.stride)[0, 0]
    )(net.weight)
    wanted = jacobian[..., 0, :, :].permute(0, 1, 3, 4, 2).flatten(2).flatten(0, 1).numpy()
    np.testing.assert_allclose(rows.T @ rows, wanted.T @ wanted, atol=1e-4)


class Decoder(nn.Module):
    """A small U-Net with transposed convolutions of the three usual kinds; class and mask."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 24, 32, 48)
        self.down = nn.ModuleList(block(a, b, 2) for a, b in itertools.pairwise((3, *widths)))
        self.grow = nn.ModuleList(
            (
                nn.ConvTranspose2d(48, 32, 2, 2),
                nn.Sequential(nn.ConvTranspose2d(32, 24, 4, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU()),
                nn.ConvTranspose2d(24, 16, 3, 2, 1, output_padding=1),
            )
        )
        self.join = nn.ModuleList(block(2 * b, b, 1) for b in widths[-2::-1])
        self.mask, self.classifier = nn.ConvTranspose2d(16, 1, 2, 2), nn.Linear(48, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = []
        for one in self.down:
            x = one(x)
            maps.append(x)
        logits = self.classifier(x.mean((2, 3)))
        for grow, join, skip in zip(self.grow, self.join, maps[-2::-1], strict=True):
            x = join(torch.cat([grow(x), skip], 1))
        return logits, self.mask(x)


def block(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> Deployed:
    net = settled(Decoder()).float()
    net.classifier.weight.data *= 5
    return Deployed(net, mean=(0.5,) * 3, std=(0.2,) * 3, temperature=1.2, layout="NHWC").eval()


def both(module: nn.Module, image: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        return [one.numpy() for one in module(torch.from_numpy(image[None]).float())]


def test_a_decoder_goes_all_the_way(decoder, tmp_path):
    """Every recipe: our own operators, one piece of rank 4, no warning but notices, and the module's answers."""
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    images[..., 1] //= np.arange(1, 7, dtype=np.uint8)[:, None, None]  # pictures that differ
    lowered = lower(decoder, torch.zeros(1, 64, 64, 3))
    assert lowered.by == "operator by operator"
    rounding = rounding_for(lowered.content, moments_of(lowered.content, images[:3]))
    facts = {"model": "m", "checkpoint_sha256": "a", "graph": "g", "data": "noise"}
    scheme = choose(lowered.content, rounding, images[:3], images[3:], modules=lowered.modules, facts=facts)
    kinds = [layer.kind for layer in scheme.layers if layer.operator == "TRANSPOSE_CONV"]
    assert kinds == ["dynamic"] * 3 + ["float"]  # the mask's multiplies each value four times, which does not pay
    grid = rounded(lowered.content, rounding)
    for recipe, bound in (("fp32", 110), ("fp16", 65), ("int8-weights", 50), ("int8-dynamic", 45), ("int8", 45)):
        path = tmp_path / f"{recipe}.tflite"
        path.write_bytes(recipe_file(recipe, lowered.content, grid, scheme.layers))
        found = audit(path)
        assert found.operators["TRANSPOSE_CONV"] == 4 and "TRANSPOSE" not in found.operators, recipe
        assert all(map(is_notice, found.warnings)), recipe
        assert found.largest_rank == 4 and found.xnnpack_partitions == 1, recipe
        if recipe in {"int8-dynamic", "int8"}:
            assert found.macs_8bit >= 0.8 * found.macs_weights, recipe
        answers = LiteRT(path).run(images[3:])
        for image, probabilities, mask in zip(images[3:], answers.probabilities, answers.masks, strict=True):
            wanted, wanted_mask = both(decoder, image)
            assert noise(np.log(wanted), np.log(probabilities[None])) > bound, recipe
            assert noise(wanted_mask.squeeze(), mask.squeeze()) > bound, recipe


def noise(wanted: np.ndarray, found: np.ndarray) -> float:
    """SQNR in dB."""
    return float(10 * np.log10(np.square(wanted).sum() / max(np.square(wanted - found).sum(), 1e-30)))
