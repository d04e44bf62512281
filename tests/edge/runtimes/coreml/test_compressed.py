"""Packages that coremltools.optimize compressed: they give what the package gives that coremltools decompresses again.

The weights of the two are compared too: ours as expanded when the package is opened, theirs as it reports them.
"""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import coremltools.optimize.coreml as shrink
import numpy as np
import pytest
import torch

from edge.runtimes import coreml
from edge.runtimes.coreml.program import read_spec

# coremltools speaks to itself in names that it calls deprecated; k-means of few equal points warns
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:coremltools"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*[Cc]lusters"),
]
X = np.random.default_rng(5).random((1, 8, 6, 6), np.float32)


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = torch.nn.Conv2d(8, 32, 3), torch.nn.Linear(32, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def converted():
    """The network as a package of an iOS and a precision, made once each."""
    exported = torch.export.export(Small().eval(), (torch.from_numpy(X),)).run_decompositions({})
    made: dict[tuple[int, str], ct.models.MLModel] = {}

    def of(ios: int, precision: str) -> ct.models.MLModel:
        if (ios, precision) not in made:
            made[ios, precision] = ct.convert(
                exported,
                inputs=[ct.TensorType(name="x", shape=X.shape)],
                minimum_deployment_target=ct.target[f"iOS{ios}"],
                compute_precision=ct.precision[precision],
                skip_model_load=True,
            )
        return made[ios, precision]

    return of


def quantized(**more):
    return shrink.linear_quantize_weights, shrink.OpLinearQuantizerConfig(weight_threshold=0, **more)


def palettized(**more):
    return shrink.palettize_weights, shrink.OpPalettizerConfig(weight_threshold=0, **more)


def pruned(**more):
    return shrink.prune_weights, shrink.OpMagnitudePrunerConfig(weight_threshold=0, **more)


GROUPS = {"granularity": "per_grouped_channel", "group_size": 8}
AFFINE, TABLE, SPARSE, BLOCKS = (
    f"constexpr_{kind}" for kind in ("affine_dequantize", "lut_to_dense", "sparse_to_dense", "blockwise_shift_scale")
)
SPARSE_TABLE, SPARSE_BLOCKS = "constexpr_lut_to_sparse", "constexpr_sparse_blockwise_shift_scale"
CASES = {  # iOS, the steps, the ops that the package then holds
    "quantized": (16, [quantized()], {AFFINE}),
    "quantized, with zero points": (16, [quantized(mode="linear", dtype="uint8")], {AFFINE}),
    "quantized, one scale": (16, [quantized(granularity="per_tensor")], {AFFINE}),
    **{f"palettized, {n} bits": (16, [palettized(nbits=n)], {TABLE}) for n in (1, 2, 4, 6, 8)},
    "pruned": (16, [pruned(target_sparsity=0.6)], {SPARSE}),
    "18: quantized, channels": (18, [quantized()], {BLOCKS}),
    "18: quantized, with zero points": (18, [quantized(granularity="per_tensor", mode="linear")], {BLOCKS}),
    "18: blocks of int4": (18, [quantized(granularity="per_block", block_size=4, dtype="int4")], {BLOCKS}),
    "18: blocks of uint4, with zero points": (18, [
        quantized(granularity="per_block", block_size=8, dtype="uint4", mode="linear")], {BLOCKS}),
    **{f"18: palettized, {n} bits": (18, [palettized(nbits=n)], {TABLE}) for n in (1, 2, 3, 4, 6, 8)},
    "18: palettized in groups": (18, [palettized(nbits=4, **GROUPS)], {TABLE}),
    "18: palettized in groups of inputs": (18, [palettized(nbits=2, channel_axis=1, **GROUPS)], {TABLE}),
    "18: palettized by vectors": (18, [palettized(nbits=2, cluster_dim=4)], {TABLE}),
    "18: palettized, scaled channels": (18, [palettized(nbits=4, enable_per_channel_scale=True)], {TABLE, BLOCKS}),
    "18: pruned": (18, [pruned(target_sparsity=0.6)], {SPARSE}),
    "18: pruned, 2 of 4": (18, [pruned(n_m_ratio=(2, 4))], {SPARSE}),
    "18: pruned, palettized": (18, [pruned(target_sparsity=0.5), palettized(nbits=3)], {SPARSE, SPARSE_TABLE}),
    "18: pruned, quantized": (18, [pruned(target_sparsity=0.5), quantized()], {SPARSE, SPARSE_BLOCKS}),
    "18: palettized, quantized": (18, [palettized(nbits=4), quantized(granularity="per_tensor")], {TABLE, BLOCKS}),
}  # fmt: skip


def opened(model: ct.models.MLModel, folder: Path) -> coreml.CoreMLModel:
    path = folder / f"{len(list(folder.iterdir()))}.mlpackage"
    model.save(str(path))
    return coreml.load(path)


def answer(model: coreml.CoreMLModel) -> np.ndarray:
    (found,) = model.predict({"x": X}).values()
    return found


def kinds(folder: Path, number: int) -> set[str]:
    function = read_spec(folder / f"{number}.mlpackage").mlProgram.functions["main"]
    (block,) = function.block_specializations.values()
    return {op.type for op in block.operations if op.type.startswith("constexpr_")}


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_decompressed_package(converted, case, precision, tmp_path):
    ios, steps, ops = CASES[case]
    plain = converted(ios, precision)
    model = plain
    for number, (step, config) in enumerate(steps):
        model = step(model, shrink.OptimizationConfig(global_config=config), joint_compression=number > 0)
    again = shrink.decompress_weights(model)
    ours, theirs = opened(model, tmp_path), opened(again, tmp_path)
    assert kinds(tmp_path, 0) == ops
    assert kinds(tmp_path, 1) == set()
    # coremltools expands in fp16 where a weight is fp16; here that is one rounding of the float32 value
    near = {"rtol": 2e-3, "atol": 2e-4} if precision == "FLOAT16" else {"rtol": 1e-6, "atol": 1e-7}
    reported = {
        name: meta.val for name, meta in shrink.get_weights_metadata(again, 0).items() if meta.val.ndim in {2, 4}
    }
    assert sorted(value.shape for value in reported.values()) == [(32, 8, 3, 3), (64, 32)]
    for name, value in reported.items():
        np.testing.assert_allclose(ours.constants[name].numpy(), value.astype(np.float32), **near, err_msg=name)
    np.testing.assert_allclose(answer(ours), answer(theirs), rtol=near["rtol"], atol=2 * near["rtol"])
    assert np.abs(answer(ours) - answer(opened(plain, tmp_path))).max() > 1e-5  # it did lose something
