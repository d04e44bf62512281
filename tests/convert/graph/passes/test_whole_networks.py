"""All passes on a whole network: which of them fire, what is left, and that it is the same function."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import HALF_PASSES, MOBILE_PASSES, PASSES, rewrite
from edge.models import create_model
from tests.convert._rewriting import count, ranks, rewritten, settled


@pytest.mark.parametrize("side", [64, pytest.param(96, marks=pytest.mark.slow(reason="one more side"))])
def test_hierattn_by_the_passes_for_any_runtime(side):
    """Every batch norm and every adaptive pool is gone, and the network is the same function."""
    net = create_model("hierattn_xs")
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    x = torch.rand(1, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def all_passes(graph):
        graph, fired = rewrite(graph, PASSES)
        expected = {
            "drop_identities": 10,
            "sum_factors": 0,
            "fold_constants": 0,
            "fold_batchnorm": norms,
            "batch_axis": 0,
            "pooling_matrices": 12,
            "kept_statistics": 0,
            "resizes": 0,
            "largest_values": 0,
            "grouped_queries": 0,
            "written_places": 0,
        }
        assert fired == expected  # four pools in each of three stages
        return graph, sum(fired.values())

    graph = rewritten(all_passes, net, x, fires=10 + norms + 12)
    assert count(graph, "batch_norm", "adaptive", "dropout") == 0
    assert not [name for name, _ in graph.named_buffers() if "running" in name]  # nothing unused goes into the file


@pytest.mark.slow(reason="one more whole network")
def test_half_precision_asks_for_convolutions():
    graph, fired = rewrite(trace(settled(create_model("hierattn_xs")), torch.rand(1, 3, 64, 64).double()), HALF_PASSES)
    assert fired["linear_as_convolution"] > 30 and count(graph, "linear") == 0


@pytest.mark.parametrize(
    "name", ["hierattn_xs", pytest.param("hierattn_s", marks=pytest.mark.slow(reason="a second network of the family"))]
)
def test_hierattn_by_those_for_mobile_runtimes_too(name):
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    fired = {}

    def run(graph):
        graph, found = rewrite(graph, PASSES + MOBILE_PASSES)
        fired.update(found)
        return graph, 0

    graph = rewritten(run, create_model(name), x, fires=0)
    idle = {name for name, times in fired.items() if not times}
    assert idle == {
        "kept_statistics",
        "resizes",
        "sum_factors",
        "fold_constants",
        "batch_axis",
        "largest_values",
        "grouped_queries",
        "written_places",
        "sorted_values",
        "spell_out",
        "split_before",
        "fold_shifts",
        "pool_borders",
        "strided_slices",
        "one_row",
        "transposed_convolutions",
        "average_borders",
        "dilated_pools",
        "norms_by_axis",
        "patches",
        "plain_activations",
        "plain_functions",
        "plain_quotients",
        "plain_reductions",
        "plain_moves",
        "same_borders",
    }
    assert (fired["zero_mean_streams"], fired["plain_layer_norm"], fired["transposed_products"]) == (21, 21, 9)
    assert ranks(graph) == 4
    assert count(graph, "reshape", "permute", "transpose.int", "flatten") <= 90
    assert count(graph, "dropout", "batch_norm", "layer_norm", "adaptive", "aten.conv2d", "chunk") == 0
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert len({f"{node.target} {node.args} {node.kwargs}" for node in calls}) == len(calls)
    products = [node for node in calls if node.target in {torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor}]
    assert not [n for n in products if any(getattr(a, "op", "get_attr") == "get_attr" for a in n.args)]
