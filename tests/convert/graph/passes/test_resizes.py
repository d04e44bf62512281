"""Resizes become slices, operators that go by size, or products with constant matrices."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from convert._graph import axis_products
from convert._graph.graph import trace
from convert._graph.passes import PASSES, pooling_matrices, resizes, rewrite, uneven_resizes
from edge.errors import InputError
from tests.convert._resizes import RESIZES, ROWS
from tests.convert._resizes import resizes as drawn
from tests.convert._rewriting import Of, count, file_of_pass, rewritten, settled
from tests.fuzzing import fuzzed

_resizes = file_of_pass(resizes)


def map_of(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def resizing(**options) -> Of:
    return Of(lambda m, x: F.interpolate(x, **options))


STAYS = {
    resizes: {"bilinear by size", "bilinear, corners", "bilinear x3, corners", "bilinear x1.3, recomputed"}
    | {"nearest by size", "nearest-exact"},
    uneven_resizes: {"bilinear x2", "nearest x2"},
}


@pytest.mark.parametrize("name", [name for name in RESIZES if name != "area"])
@pytest.mark.parametrize("rewrite", [resizes, uneven_resizes], ids=lambda f: f.__name__)
def test_every_resize_is_torchs(rewrite, name):
    sides, options = RESIZES[name]
    graph = rewritten(rewrite, resizing(**options), map_of(*sides), fires=int(name not in STAYS[rewrite]))
    assert count(graph, "_aa", "bicubic") == 0


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_resized_as_maps_of_one_row(name):
    graph = rewritten(resizes, resizing(**ROWS[name]), map_of(2, 9)[:, :, 0], fires=1)
    assert count(graph, "linear1d", "nearest1d", "exact1d") == 0


FORMS = {  # after all shared rewrites: operators by size, slices, products
    "nearest x0.5": (0, 2, 0),
    "nearest x0.25": (0, 2, 0),
    "nearest x2": (1, 0, 0),
    "bilinear x2": (1, 0, 0),
    "bilinear by size": (1, 0, 0),
    "bilinear x1.3, recomputed": (1, 0, 0),
    "bilinear, corners, x1.3": (1, 0, 0),
    "bilinear x1.3": (0, 0, 2),
    "bilinear x1.05, the same size": (0, 0, 0),  # torch leaves an axis that keeps its size
    "antialias, larger": (1, 0, 0),
    "one axis alone": (0, 0, 1),
    "nearest x1.5": (1, 0, 0),
    "bicubic, antialias": (0, 0, 2),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_the_cheapest_that_is_right(name):
    sides, options = RESIZES[name]
    graph, _ = rewrite(trace(settled(resizing(**options)), map_of(*sides)), PASSES)
    assert (count(graph, "upsample"), count(graph, "slice"), count(graph, "matmul")) == FORMS[name]


def test_core_ml_gets_operators_for_whole_factors_alone():
    for name, factors in (("bilinear x3, corners", [3.0, 3.0]), ("nearest x2", [2.0, 2.0]), ("nearest by size", None)):
        sides, options = RESIZES[name]
        graph, _ = rewrite(trace(settled(resizing(**options)), map_of(*sides)), (*PASSES, uneven_resizes))
        found = [node.args[-1] for node in graph.graph.nodes if "upsample" in str(node.target)]
        assert found == ([factors] if factors else [])


@fuzzed(20)
@given(drawn())
def test_drawn_resizes_are_torchs(resize):
    sides, options = resize
    module, x = settled(resizing(**options)), map_of(*sides)
    graph = trace(module, x)
    try:
        new, _ = rewrite(graph, (*PASSES, uneven_resizes))
    except InputError as error:  # of a fault of torch, below
        assert "torch itself computes something else" in str(error) and options["antialias"]
        return
    assert (new(x) - module(x)).abs().max() <= 1e-9
    assert (new(-x.flip(-1)) - module(-x.flip(-1))).abs().max() <= 1e-9


@pytest.mark.parametrize(
    ("options", "x", "words"),
    [
        ({"size": (2, 1), "mode": "bilinear", "antialias": True}, map_of(6, 2), "torch itself computes something else"),
        ({"size": (3, 4, 5), "mode": "trilinear"}, map_of(6, 2)[..., None], "three dimensions"),
        ({"scale_factor": 2}, map_of(6, 2)[..., None], "three dimensions"),
        ({"size": (6, 5000), "mode": "bicubic"}, map_of(6, 300), "300 to 5000 places .* 1,500,000 numbers"),
        ({"size": (6, 40000), "mode": "bilinear"}, map_of(6, 500), "500 to 40000 places is too large"),
    ],
    ids=["a fault of torch", "trilinear", "nearest, three dimensions", "large matrix", "larger still"],
)
def test_a_refusal_names_the_resize(options, x, words):
    with pytest.raises(InputError, match=rf"aten\.\w*upsample_\w+\.vec\(float64\[2, 3, .*{words}"):
        rewrite(trace(settled(resizing(**options)), x), PASSES)


def test_a_large_adaptive_pool_is_two_products():
    """One matrix over the flattened map would hold 50 million numbers."""
    graph = rewritten(pooling_matrices, resizing(size=(50, 60), mode="area"), map_of(128, 130), fires=1)
    assert count(graph, "matmul") == 2


def test_a_wrong_matrix_is_noticed(monkeypatch):
    """Points by the two sides, as converters take them where a factor was given."""
    monkeypatch.setattr(_resizes, "factors_of", lambda node: [None, None])
    with pytest.raises(AssertionError):
        rewritten(resizes, resizing(scale_factor=1.3, mode="bilinear"), map_of(7, 9), fires=1)


def test_a_slice_takes_evenly_spaced_places_only():
    taken = [axis_products.evenly_taken(torch.eye(8)[places]) for places in ([1, 3, 5], [0, 0, 1], [3], [0, 2, 5])]
    assert taken == [range(1, 6, 2), None, range(3, 4), None]
    assert axis_products.evenly_taken(torch.full((2, 4), 0.25)) is None
