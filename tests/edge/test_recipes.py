"""The one table of recipes does not contradict itself, nor what reads it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from edge.manifest import schema
from edge.metrics.gates import GATES
from edge.recipes import ALWAYS, COREAI, COREML, NEVER, ONNX, RECIPES, REPORTED, TABLE, TFLITE, TRAINED, Recipe
from tests.edge._manifests import entry


def contradictions(table: tuple[Recipe, ...]) -> list[str]:
    """What is wrong with a table, in words."""
    wrong = []
    for key, number in Counter((recipe.format, recipe.name) for recipe in table).items():
        if number > 1:
            wrong.append(f"{key} is there twice")
    same = defaultdict(list)
    for recipe in table:
        same[recipe.name].append(recipe)
        gated = recipe.gate != REPORTED
        if gated == (recipe.binding == NEVER):
            wrong.append(f"{recipe.name}: a gate that never binds, or binding without a gate")
        if (recipe.gate.mac_share_int8 is not None) != (recipe.activations == 8):
            wrong.append(f"{recipe.name}: the share on 8 bits is asked of what computes in 8 bits")
        if recipe.palette != (recipe.name == f"palette{recipe.weights}"):
            wrong.append(f"{recipe.name}: a palette is called after its bits")
        if recipe.measured and recipe.activations != 8:
            wrong.append(f"{recipe.name}: measured, and nothing to choose")
        if recipe.activations < 8 or recipe.weights not in {4, 6, 8, 16, 32}:
            wrong.append(f"{recipe.name}: {recipe.weights} and {recipe.activations} bits")
        if not recipe.purpose or (recipe.opens_from == "") != (recipe.format == "tflite"):
            wrong.append(f"{recipe.name}: does not say what it is for, or where it opens")
    for name, recipes in same.items():
        for fact in ("gate", "untrained_gate", "binding", "weights", "palette", "measured"):
            if len({getattr(recipe, fact) for recipe in recipes}) > 1:
                wrong.append(f"{name}: another {fact} in another format")
    return wrong


def test_the_table_agrees_with_itself() -> None:
    assert contradictions(TABLE) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fp16", {"gate": replace(TFLITE["fp16"].gate, median_sqnr_db=40.0)}),
        ("fp32", {"binding": TRAINED}),
        ("int8", {"gate": replace(TFLITE["int8"].gate, mac_share_int8=None)}),
        ("int8-weights", {"binding": NEVER}),
        ("fp32", {"weights": 16}),
        ("int8-io", {"name": "int8"}),
        ("int8", {"purpose": ""}),
        ("fp16", {"palette": True}),
        ("fp16", {"measured": True}),
    ],
)
def test_a_contradiction_is_noticed(name: str, change: dict[str, object]) -> None:
    changed = tuple(replace(r, **change) if (r.format, r.name) == ("tflite", name) else r for r in TABLE)  # type: ignore[arg-type]
    assert contradictions(changed)


def test_gates_and_views_are_those_of_the_table() -> None:
    assert [recipe for form in (TFLITE, COREML, COREAI, ONNX) for recipe in form.values()] == list(TABLE)
    assert all(RECIPES[recipe.format][recipe.name] is recipe for recipe in TABLE)
    assert GATES.keys() == {recipe.name for recipe in TABLE}
    assert all(GATES[recipe.name] == recipe.gate for recipe in TABLE)


def test_every_format_starts_with_the_float_file_that_judges_the_rest() -> None:
    for recipes in RECIPES.values():
        first = next(iter(recipes.values()))
        assert (first.name, first.weights, first.activations, first.binding) == ("fp32", 32, 32, ALWAYS)
        assert first.gate == first.gate_for(untrained=True)


def test_every_recipe_can_stand_in_a_manifest() -> None:
    properties = schema()["properties"]["files"]["items"]["properties"]
    layouts, dtypes = (properties["input"]["properties"][key]["enum"] for key in ("layout", "dtype"))
    for recipe in TABLE:
        assert recipe.format in properties["format"]["enum"]
        assert recipe.layout in layouts and recipe.dtype in dtypes
        assert len(recipe.purpose) <= properties["for"]["maxLength"]
        assert len(recipe.opens_from) <= properties["opens_from"]["maxLength"]
        assert entry(f"net-{recipe.name}.{recipe.format}").recipe == recipe.name


@pytest.mark.parametrize(
    ("binding", "trained", "strict", "expected"),
    [
        (ALWAYS, False, False, True),
        (TRAINED, True, False, True),
        (TRAINED, False, False, False),
        (TRAINED, False, True, True),
        (NEVER, True, False, False),
        (NEVER, False, True, True),
    ],
)
def test_when_a_failed_gate_rejects(binding: str, trained: bool, strict: bool, expected: bool) -> None:
    assert replace(TABLE[0], binding=binding).binds(trained=trained, strict=strict) is expected
