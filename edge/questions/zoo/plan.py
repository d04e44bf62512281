"""What the zoo makes: models, the weights each is made from, the recipes that its size allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.checkpoint import SHIPPED
from edge.errors import InputError
from edge.models import MODELS, family_name
from edge.program import SUFFIX as PROGRAM
from edge.recipes import COREML, TFLITE

# what a person calls a format -> its recipes
FORMATS = {
    name: tuple(recipe.name for recipe in recipes.values() if not recipe.on_request)
    for name, recipes in (("tflite", TFLITE), ("coreml", COREML))
}
RECIPES = tuple(dict.fromkeys(recipe for recipes in FORMATS.values() for recipe in recipes))
YARDSTICK, YARDSTICK_RECIPE = "mobilenetv2", "fp32"  # the .tflite that every time is a multiple of
OF_LARGE = ("fp32", "fp16")  # recipes of a model above the limit


@dataclass(frozen=True)
class Job:
    """One model's files in one format."""

    model: str
    format: str
    recipes: tuple[str, ...]
    checkpoint: Path | None  # None: random weights


def jobs(
    models: Sequence[str],
    recipes: Sequence[str],
    formats: Sequence[str] = tuple(FORMATS),
    *,
    parameters: dict[str, int],
    limit: float,
    large: bool,
    checkpoints: Path | None,
) -> list[Job]:
    """In the order of `models`; the yardstick comes along where it is not among them."""
    wanted = []
    for model in dict.fromkeys([YARDSTICK, *models]):
        heavy = parameters[model] > limit
        if heavy and not large and model != YARDSTICK:
            continue
        for form, known in FORMATS.items():
            asked = form in formats and model in models and (large or not heavy)
            chosen = [r for r in known if asked and r in recipes and (not heavy or r in OF_LARGE)]
            if model == YARDSTICK and form == "tflite" and YARDSTICK_RECIPE not in chosen:
                chosen.insert(0, YARDSTICK_RECIPE)
            if chosen:
                wanted.append(Job(model, form, tuple(chosen), checkpoint_for(model, checkpoints)))
    return wanted


def checkpoint_for(model: str, folder: Path | None) -> Path | None:
    """`<folder>/<model>.safetensors` or `<folder>/<model>/checkpoint.safetensors`, else the shipped one, else None.

    With the suffix .pt2 of a network that dermedge does not know.
    """
    suffixes = (".safetensors",) if model in MODELS else (PROGRAM,)
    places = [
        place
        for suffix in suffixes
        for place in ((folder / f"{model}{suffix}", folder / model / f"checkpoint{suffix}") if folder else ())
    ]
    return next((path for path in [*places, SHIPPED / f"{model}.safetensors"] if path.is_file()), None)


def own_networks(folder: Path | None) -> list[str]:
    """Names of the networks in `folder` that dermedge does not know: `<name>.pt2` and `<name>/checkpoint.pt2`."""
    if folder is None or not folder.is_dir():
        return []
    names = {path.stem for path in folder.glob(f"*{PROGRAM}")}
    names |= {path.parent.name for path in folder.glob(f"*/checkpoint{PROGRAM}")}
    return sorted(names - MODELS.keys())


def known_names(kind: str, names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names without repetition, all that are known for None; InputError for an unknown one of the `kind`."""
    if names is None:
        return list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"`{kind}`: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return list(dict.fromkeys(names))


def models_of(names: Sequence[str] | None, checkpoints: Path | None = None) -> list[str]:
    """All models of dermedge and the networks in `checkpoints` for None; InputError for an unknown name."""
    own = own_networks(checkpoints)
    if names is None:
        return [*MODELS, *own]
    for name in names:
        if name not in own:
            family_name(name)
    return list(dict.fromkeys(names))
