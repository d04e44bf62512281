"""Which recipes a search tries: choices and ranges of a recipe's fields, and the trials drawn from them by a seed.

trials = 24         # drawn at random; without it every combination is tried
seed = 0
[recipe]
learning_rate = {low = 5e-4, high = 5e-3, scale = "log"}
mixup = {low = 0.0, high = 0.4}
batch = [16, 32]
stages = ["64x40,128x60", "128x60"]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from edge.errors import InputError, did_you_mean
from edge.models import MODELS

from ._options import SEEDS
from ._recipe import Recipe, parse_stages, stages_text

MOST_TRIALS = 10_000
MOST_COMBINATIONS = 10**6  # that are shuffled; of more, trials are drawn until none is there twice
TRIES = 1000  # for a trial that is not there yet
DIGITS = 4  # of a number that is drawn
LINEAR, LOG = SCALES = ("linear", "log")
Value = int | float | str
Trial = dict[str, Value]  # field of a recipe -> its value; stages as text


@dataclass(frozen=True)
class Between:
    """A range of numbers, ends included."""

    low: float
    high: float
    log: bool
    whole: bool

    def draw(self, rng: np.random.Generator) -> int | float:
        if self.whole and not self.log:
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = rng.uniform(low, high)
        value = float(f"{math.exp(drawn) if self.log else drawn:.{DIGITS}g}")
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Space:
    """What is varied, and how often."""

    fields: dict[str, Between | tuple[Value, ...]]
    trials: int | None = None  # None: every combination
    seed: int = 0

    @property
    def combinations(self) -> int | None:
        """None where a range makes them countless."""
        sizes = [len(own) for own in self.fields.values() if isinstance(own, tuple)]
        return math.prod(sizes) if len(sizes) == len(self.fields) else None

    def drawn(self) -> list[Trial]:
        """The trials, none twice. The same seed gives the same ones, and more `trials` give those and further ones."""
        names = list(self.fields)
        if self.trials is None:
            lists = [own for own in self.fields.values() if isinstance(own, tuple)]
            return [dict(zip(names, values, strict=True)) for values in product(*lists)]
        if self.combinations is not None and self.combinations <= MOST_COMBINATIONS:
            order = np.random.default_rng(self.seed).permutation(self.combinations)
            return [self.combination(int(number)) for number in order[: self.trials]]
        trials: list[Trial] = []
        for number in range(self.trials):
            rng = np.random.default_rng([self.seed, number])
            trial = next((new for new in (self.draw(rng) for _ in range(TRIES)) if new not in trials), None)
            if trial is None:
                raise InputError(f"no {self.trials} different trials are in these choices and ranges; ask for fewer")
            trials.append(trial)
        return trials

    def draw(self, rng: np.random.Generator) -> Trial:
        return {
            name: own.draw(rng) if isinstance(own, Between) else own[int(rng.integers(len(own)))]
            for name, own in self.fields.items()
        }

    def combination(self, number: int) -> Trial:
        """That of the place `number` in the order of `product`."""
        trial: Trial = {}
        for name, own in reversed(self.fields.items()):
            assert isinstance(own, tuple)  # ranges have no combinations
            number, place = divmod(number, len(own))
            trial[name] = own[place]
        return {name: trial[name] for name in self.fields}


def read_space(stated: Mapping[str, Any]) -> Space:
    """The space in a parsed file; InputError that names what is none, or wrong."""
    known = ("trials", "seed", "recipe")
    for key in stated:
        if key not in known:
            raise InputError(f"there is no key {key!r}{did_you_mean(key, known)}; there are {', '.join(known)}")
    varied = stated.get("recipe")
    if not isinstance(varied, dict) or not varied:
        raise InputError("there is no table [recipe] that says what is varied, such as `batch = [16, 32]`")
    space = Space({name: varied_field(name, value) for name, value in varied.items()}, seed=whole(stated, "seed", 0))
    if not SEEDS[0] <= space.seed <= SEEDS[1]:
        raise InputError(f"seed is between {SEEDS[0]} and {SEEDS[1]}, got {space.seed}")
    if "trials" not in stated:
        if space.combinations is None:
            raise InputError("a range has no end of values; say how many `trials` are drawn")
        check_number(space.combinations, "these choices have {} combinations; say how many `trials` are drawn of them")
        return space
    trials = whole(stated, "trials", None)
    check_number(trials, "trials is between 1 and {most}, got {}")
    if space.combinations is not None and trials > space.combinations:
        raise InputError(f"these choices have {space.combinations} combinations, which are fewer than {trials} trials")
    return replace(space, trials=trials)


def check_number(trials: int, words: str) -> None:
    if not 1 <= trials <= MOST_TRIALS:
        raise InputError(words.format(trials, most=MOST_TRIALS))


def whole(stated: Mapping[str, Any], key: str, usual: int | None) -> int:
    value = stated.get(key, usual)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{key} is a whole number, got {value!r:.80}")
    return value


def varied_field(name: str, stated: object) -> Between | tuple[Value, ...]:
    """A list of values, or a range as a table; every value is one that a recipe takes."""
    kinds = {field.name: str(field.type) for field in fields(Recipe)}
    if name not in kinds:
        raise InputError(f"a recipe has no {name!r}{did_you_mean(name, kinds)}; it has {', '.join(kinds)}")
    if isinstance(stated, dict):
        return between(name, stated, kinds[name])
    if not isinstance(stated, list) or not stated:
        raise InputError(
            f"{name} is a list of values, or {{low = …, high = …}}; got {stated!r:.80}. What stays the same is a flag"
        )
    values = tuple(of_kind(name, value, kinds[name]) for value in stated)
    if len(set(values)) < len(values):
        raise InputError(f"{name} has a value twice: {stated!r:.200}")
    return values


def between(name: str, stated: Mapping[str, Any], kind: str) -> Between:
    if kind not in ("int", "float"):
        raise InputError(f"{name} is no number; give a list of values")
    known = ("low", "high", "scale")
    strange = [key for key in stated if key not in known]
    if strange or not {"low", "high"} <= stated.keys():
        raise InputError(f"{name} is a range with low, high and perhaps scale, got {', '.join(stated)}")
    low, high = (of_kind(name, stated[key], kind) for key in ("low", "high"))
    scale = stated.get("scale", LINEAR)
    if scale not in SCALES:
        raise InputError(f"{name}: scale is one of {', '.join(SCALES)}, got {scale!r:.80}")
    assert not isinstance(low, str) and not isinstance(high, str)  # they are of the kind
    if not low < high:
        raise InputError(f"{name}: low is below high, got {low} and {high}")
    if scale == LOG and low <= 0:
        raise InputError(f"{name}: on a logarithmic scale low is above 0, got {low}")
    return Between(low, high, scale == LOG, kind == "int")


def of_kind(name: str, value: object, kind: str) -> Value:
    """The value as a trial has it; InputError for one that no recipe takes."""
    numbers: tuple[type, ...] = {"int": (int,), "float": (int, float)}.get(kind, (str,))
    if not isinstance(value, numbers) or isinstance(value, bool):
        words = {"int": "whole numbers", "float": "numbers"}.get(kind, "texts")
        raise InputError(f"{name} is of {words}, got {value!r:.80}")
    if kind == "float":
        try:
            value = float(value)  # type: ignore[arg-type]
        except OverflowError as error:  # TOML has integers of any length
            raise InputError(f"{name} is of numbers up to 1.8e308, got {value!r:.80}") from error
    if name == "model" and value not in MODELS:
        raise InputError(f"{value!r:.80} is no model{did_you_mean(str(value), MODELS)}; there are {', '.join(MODELS)}")
    recipe_of(Recipe(), {name: value}).check()  # type: ignore[dict-item]
    return value  # type: ignore[return-value]


def recipe_of(base: Recipe, trial: Mapping[str, Value]) -> Recipe:
    """The recipe of a trial: the base, with what the trial varies."""
    values: dict[str, Any] = dict(trial)
    if "stages" in values:
        values["stages"] = parse_stages(values["stages"])
    return replace(base, **values)


def shown(recipe: Recipe, name: str) -> Value:
    """A field of a recipe as a trial has it."""
    return stages_text(recipe.stages) if name == "stages" else getattr(recipe, name)
