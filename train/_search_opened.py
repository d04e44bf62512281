"""What the folds of a search's trials read, opened once, and which trials are refused as their folds would be."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ParamSpec, TypeVar

from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.models import gives_masks

from ._folds import Networks, Sources, check_folds, opened_networks, sets_of
from ._options import Split
from ._recipe import Recipe

Opened = tuple[list[PhotoSet], Networks]
P = ParamSpec("P")
T = TypeVar("T")


def opened_for(recipes: Sequence[Recipe], split: Split, sources: Sources) -> tuple[Opened, dict[int, str]]:
    """The sets and networks of the first recipe that can be trained, and by number why others cannot.

    Raises InputError where the sets cannot be opened, and where no recipe can be trained.
    """

    @once
    def sets(masks: bool) -> list[PhotoSet]:
        return sets_of(sources, masks=masks)

    @once
    def opened(model: str, distil: float, distil_features: float) -> Opened:
        recipe = Recipe(model=model, distil=distil, distil_features=distil_features)
        networks = opened_networks(recipe, split, sources)
        photos = sets(networks.masks)
        check_folds(recipe, split, photos, networks)
        return photos, networks

    refused: dict[int, str] = {}
    for number, recipe in enumerate(recipes):
        try:
            recipe.check()
        except InputError as error:
            refused[number] = str(error)
    right = [recipe for number, recipe in enumerate(recipes) if number not in refused]
    some_opens(sets, [gives_masks(recipe.model) for recipe in right])
    first: Opened | None = None
    for number, recipe in enumerate(recipes):
        if number not in refused:
            try:
                own = opened(recipe.model, recipe.distil, recipe.distil_features)
                first = first or own
            except InputError as error:
                refused[number] = str(error)
    if first is None:
        raise InputError(f"no trial can be trained; the first: {refused[0]}")
    return first, refused


def some_opens(sets: Callable[[bool], object], wanted: Sequence[bool]) -> None:
    """InputError where the sets open neither for networks with masks nor for those without, as far as `wanted`."""
    failed: list[InputError] = []
    kinds = list(dict.fromkeys(wanted))
    for masks in kinds:
        try:
            sets(masks)
        except InputError as error:
            failed.append(error)
    if failed and len(failed) == len(kinds):
        raise failed[0]


def once(function: Callable[P, T]) -> Callable[P, T]:
    """The function, called once for the same arguments: what it raised as InputError is raised again."""
    results: dict[Hashable, T | InputError] = {}

    def remembered(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, tuple(sorted(kwargs.items())))
        if key not in results:
            try:
                results[key] = function(*args, **kwargs)
            except InputError as error:
                results[key] = error
        result = results[key]
        if isinstance(result, InputError):
            raise result
        return result

    return remembered
