"""Resizes in Core ML packages, against torch in float64; 8 bits and palettes leave the matrices alone."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._coreml.program import compact, index_bits, with_int8_weights, with_palette
from convert._resize_names import is_matrix
from tests.convert._resizes import Resizing
from tests.convert._rewriting import Of
from tests.convert.coreml._packages import answer, model_of, operations_of

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


@pytest.mark.slow(reason="a package of many resizes")
def test_a_package_computes_what_torch_does():
    """With operators of Core ML for whole factors alone."""
    x = torch.randn(1, 2, 15, 15, generator=torch.Generator().manual_seed(0))
    model = model_of(Resizing(), x)
    np.testing.assert_allclose(answer(model, x), Resizing()(x.double()).numpy(), atol=1e-5)
    resizes = [op for op in operations_of(model) if "upsample" in op.op_type or "resize" in op.op_type]
    kinds = [(op.op_type, float(op.scale_factor_height.val), float(op.scale_factor_width.val)) for op in resizes]
    assert sorted(kinds) == [
        ("upsample_bilinear", 2, 2),
        ("upsample_bilinear", 3, 3),
        ("upsample_nearest_neighbor", 1, 3),  # a row
        ("upsample_nearest_neighbor", 2, 2),
    ]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = Of(lambda m, x: F.interpolate(m.c(x), scale_factor=1.33, mode="bicubic"), c=nn.Conv2d(3, 64, 3))
    return model_of(net.eval(), torch.zeros(1, 3, 34, 40))


@pytest.mark.parametrize("compress", [with_int8_weights, lambda m: with_palette(m, 4)], ids=["int8", "palette4"])
def test_compression_leaves_the_matrices(compress, model):
    before, after = matrices(model), matrices(ct.optimize.coreml.decompress_weights(compress(model)))
    assert len(before) == len(after) == 2 and len(np.unique(before[0])) > 16
    for value in before:
        assert any(np.array_equal(value, other) for other in after)


def test_short_names_keep_the_mark(model):
    names = index_bits(compact(model, names=False))
    assert sum(is_matrix(name) for name in names) == 2


def matrices(model) -> list[np.ndarray]:
    weights = ct.optimize.coreml.get_weights_metadata(model, weight_threshold=512)
    return [weight.val for name, weight in weights.items() if is_matrix(name)]
