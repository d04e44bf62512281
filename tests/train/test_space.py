"""What a search tries: every value is one that training takes, and the same seed gives the same trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.errors import InputError
from train._recipe import Recipe
from train._space import read_space, recipe_of

RANGE = {"low": 1e-4, "high": 1e-2, "scale": "log"}


def test_every_combination_of_choices_is_tried_once() -> None:
    trials = read_space({"recipe": {"batch": [8, 16], "stages": ["32x1", "64x1,128x2"], "mixup": [0, 0.4]}}).drawn()
    assert len(trials) == 8 and len({tuple(trial.values()) for trial in trials}) == 8
    recipe = recipe_of(Recipe(seed=7), trials[-1])
    assert (recipe.batch, recipe.stages, recipe.mixup, recipe.seed) == (16, ((64, 1), (128, 2)), 0.4, 7)


def test_more_trials_keep_those_that_were_tried() -> None:
    """Nothing that was trained is lost when a search is made longer."""
    spaces: list[dict[str, Any]] = [
        {"learning_rate": RANGE, "batch": [8, 16]},
        {"batch": [8, 16, 32], "mixup": [0.0, 0.2, 0.4]},
    ]
    for recipe in spaces:
        few, many = (read_space({"trials": n, "seed": 3, "recipe": recipe}).drawn() for n in (4, 9))
        assert many[:4] == few and len({str(trial) for trial in many}) == 9
        assert read_space({"trials": 4, "seed": 4, "recipe": recipe}).drawn() != few


def test_a_logarithmic_range_is_drawn_evenly_by_its_logarithm() -> None:
    trials = read_space({"trials": 400, "recipe": {"learning_rate": RANGE, "variants": {"low": 0, "high": 3}}}).drawn()
    rates = np.log10([float(trial["learning_rate"]) for trial in trials])
    assert -4 <= rates.min() < -3.9 and -2.1 < rates.max() <= -2
    assert np.mean(rates) == pytest.approx(-3, abs=0.1)  # evenly by the number itself it would be -2.43
    assert {trial["variants"] for trial in trials} == {0, 1, 2, 3}  # whole, ends included


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"recipe": {}}, "no table [recipe]"),
        ({"recipes": {"batch": [8]}}, "no key 'recipes' (did you mean recipe?)"),
        ({"recipe": {"batchs": [8]}}, "no 'batchs' (did you mean batch?)"),
        ({"recipe": {"batch": 8}}, "What stays the same is a flag"),
        ({"recipe": {"batch": [8, 8]}}, "a value twice"),
        ({"recipe": {"batch": [8.5]}}, "whole numbers, got 8.5"),
        ({"recipe": {"batch": [True]}}, "whole numbers, got True"),
        ({"recipe": {"batch": [1]}}, "`batch` is at least 2"),
        ({"recipe": {"mixup": [10**400]}}, "mixup is of numbers up to 1.8e308, got 1000"),
        ({"recipe": {"mixup": [float("nan")]}}, "`mixup` is between"),
        ({"recipe": {"stages": ["33x1"]}}, "a side is a multiple of"),
        ({"recipe": {"batch_norm": ["none"]}}, "`batch_norm` is one of"),
        ({"recipe": {"model": ["mobilenet"]}}, "is no model (did you mean mobilenetv2?)"),
        ({"recipe": {"mixup": {"low": 0.1, "high": 0.2}}}, "say how many `trials`"),
        ({"trials": 2, "recipe": {"mixup": {"low": 0.2, "high": 0.1}}}, "low is below high"),
        ({"trials": 2, "recipe": {"mixup": {"low": 0.1, "high": 99.0}}}, "`mixup` is between"),
        ({"trials": 2, "recipe": {"mixup": {"low": 0.0, "high": 1.0, "scale": "log"}}}, "low is above 0"),
        ({"trials": 2, "recipe": {"mixup": {"low": 0.1, "top": 1.0}}}, "a range with low, high"),
        ({"trials": 2, "recipe": {"stages": {"low": 1, "high": 2}}}, "no number"),
        ({"trials": 3, "recipe": {"batch": [8, 16]}}, "2 combinations, which are fewer than 3 trials"),
        ({"trials": 10**9, "recipe": {"mixup": {"low": 0.1, "high": 1.0}}}, "between 1 and 10000"),
        ({"trials": 0, "recipe": {"batch": [8, 16]}}, "between 1 and 10000"),
        ({"seed": -1, "recipe": {"batch": [8, 16]}}, "seed is between"),
        ({"recipe": {"seed": list(range(200)), "batch": list(range(2, 102))}}, "20000 combinations"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_slip_is_named_before_anything_is_trained(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as refused:
        read_space(stated)
    assert words in str(refused.value)
