"""The two ways in which a command ends badly, and the exit code of each."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

GOOD, GATE_FAILED, BAD_INPUT = 0, 1, 2


def install(extra: str) -> str:
    """What to type for an optional part; dermedge is not on a package index."""
    return f"pip install -e '.[{extra}]' in dermedge's folder"


class InputError(ValueError):
    """What came is not what was expected. The message says what, where and what to do; exit code 2.

    A parameter of a public function stands in backticks, `like_this`: commands show the flag that sets it instead.
    """


class GateError(RuntimeError):
    """The work was done and did not pass its gate; exit code 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " (did you mean mobilenetv2?)" for a slip in a name; nothing where none is near."""
    by_case = {entry.casefold(): entry for entry in known}
    near = get_close_matches(name.casefold(), by_case, n=1)
    return f" (did you mean {by_case[near[0]]}?)" if near else ""


def at_least_one(**numbers: int | None) -> None:
    """InputError for a parameter with a number below 1, as in `at_least_one(rounds=rounds)`; None passes."""
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError(f"`{name}` is at least 1, got {value}")
