"""What the public functions take, by kind: each is checked here, before any work is done.

A checker gives the value as the rest of dermedge takes it, or raises InputError that names the parameter, what was
expected and what came. NumPy's numbers and truth values count as Python's; a text never counts as a number.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from edge.errors import InputError, did_you_mean

LONGEST = 80  # characters of a value in a message


def shown(value: object) -> str:
    """A value and its type on one short line: `'8' (str)`."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a stranger's class does
        return f"a value of type {type(value).__name__}"
    kind = type(value).__name__
    return text if value is None else f"{text[:LONGEST]}{'…' if len(text) > LONGEST else ''} ({kind})"


def path(value: object, name: str, purpose: str) -> Path:
    """A path from text or an os.PathLike; `purpose` says what lies there, as in "a folder of photographs"."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(f"`{name}` is the path of {purpose}, as text or pathlib.Path, got {shown(value)}")
    return Path(text)


def truth(value: object, name: str) -> bool:
    """True or False; 0, 1, "no" and None are neither."""
    if type(value).__module__ == "numpy" and type(value).__name__ in {"bool", "bool_"}:
        return bool(value)
    if not isinstance(value, bool):
        raise InputError(f"`{name}` is True or False, got {shown(value)}; give one of the two, without quotes")
    return value


def truths(**values: object) -> None:
    """InputError for a parameter that is no truth value, as in `truths(force=force, strict=strict)`."""
    for name, value in values.items():
        truth(value, name)


def whole(value: object, name: str, least: int | None = None) -> int:
    """A whole number of at least `least`; 64.0 is one, 2.5, True and "8" are none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        count = int(value) if isinstance(value, Real) and float(value).is_integer() else operator.index(value)  # type: ignore[arg-type, call-overload]
    except (TypeError, OverflowError, RuntimeError) as error:
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise InputError(f"`{name}` is {wanted}, got {shown(value)}{without_quotes(value)}") from error
    if least is not None and count < least:
        raise InputError(f"`{name}` is at least {least}, got {count}")
    return int(count)


def whole_between(value: object, words: str, least: int, most: int, unit: str = "") -> int:
    """A whole number of `least` to `most`; `words` says of what, as in "the frame's width"."""
    try:
        count = whole(value, words)
        if not least <= count <= most:
            raise InputError("out of range")
    except InputError as error:
        span = f"{least} to {most} {unit}".rstrip()
        raise InputError(f"{words} is a whole number of {span}, got {shown(value)}") from error
    return count


def whole_or_none(value: object, name: str, least: int | None = None) -> int | None:
    """A whole number as `whole` has it, or None."""
    return None if value is None else whole(value, name, least)


def wholes_or_none(values: object, name: str) -> list[int] | None:
    """A list of whole numbers, or None."""
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, list | tuple | range):
        raise InputError(f"`{name}` is a list of whole numbers, got {shown(values)}")
    return [whole(value, name) for value in values]


def number(value: object, name: str) -> float:
    """A finite number as a float, also an array or a tensor of one; True and "0.1" are none."""
    try:
        scalar = isinstance(value, Real) or getattr(value, "ndim", None) == 0
        if isinstance(value, bool | str) or not scalar or not math.isfinite(float(value)):  # type: ignore[arg-type]
            raise TypeError
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"`{name}` is a number, got {shown(value)}{without_quotes(value)}") from error
    return float(value)  # type: ignore[arg-type]


def without_quotes(value: object) -> str:
    return "; give the number without quotes" if isinstance(value, str) else ""


def names(values: object, name: str, known: Sequence[str] | None = None) -> list[str]:
    """A list of names, each once; a text alone is one name. `known`: those that there are."""
    listed = [values] if isinstance(values, str) else values
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(entry, str) for entry in listed):
        of = f" of {', '.join(known)}" if known else ""
        raise InputError(f"`{name}` is a list of names{of}, got {shown(values)}")
    strange = [entry for entry in listed if known is not None and entry not in known]
    if strange:
        meant = did_you_mean(strange[0], known or ())
        raise InputError(f"`{name}` are of {', '.join(known or ())}, got {', '.join(strange)}{meant}")
    return list(dict.fromkeys(listed))


def names_or_none(values: object, name: str, known: Sequence[str] | None = None) -> list[str] | None:
    """A list of names as `names` has it, or None."""
    return None if values is None else names(values, name, known)


def text_or_none(value: object, name: str, purpose: str) -> str | None:
    """A text, or None; `purpose` says what it is, as in "the name of a mode"."""
    if value is not None and not isinstance(value, str):
        raise InputError(f"`{name}` is {purpose}, as text, got {shown(value)}")
    return value


def instance(value: object, name: str, kinds: type | tuple[type, ...], advice: str) -> Any:
    """A value of a class; `advice` says what is expected and how to come by it: "a Build; `convert` gives one"."""
    if not isinstance(value, kinds):
        raise InputError(f"`{name}` is {advice}; got {shown(value)}")
    return value


def photographs(value: object, name: str = "photos") -> Any:
    """What `edge.data.selection.find_sets` takes: None, a folder, a PhotoSet or a list of PhotoSets."""
    from edge.data.table import PhotoSet

    if value is None or isinstance(value, PhotoSet):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(part, PhotoSet) for part in value):
        return list(value)
    if isinstance(value, str | os.PathLike):
        return path(value, name, "a folder of photographs")
    raise InputError(
        f"`{name}` is a folder of photographs, a PhotoSet (`dermedge.open_photos` gives one) or a list of PhotoSets, "
        f"got {shown(value)}"
    )


def listener(value: object, name: str = "on_progress", takes: str = "a dermedge.Progress") -> None:
    """InputError unless it is None or can be called with one argument."""
    fits = callable(value)
    if fits:
        try:
            inspect.signature(value).bind(None)  # type: ignore[arg-type]
        except TypeError:
            fits = False
        except ValueError:  # of a builtin, which tells nothing
            pass
    if value is not None and not fits:
        raise InputError(f"`{name}` is a function that takes {takes}, got {shown(value)}")
