"""The two ways in which a command ends badly, and the exit code of each."""

from __future__ import annotations

GOOD, GATE_FAILED, BAD_INPUT = 0, 1, 2


def install(extra: str) -> str:
    """What to type for an optional part; dermedge is not on a package index."""
    return f"pip install -e '.[{extra}]' in dermedge's folder"


class InputError(ValueError):
    """What came is not what was expected. The message says what, where and what to do; exit code 2."""


class GateError(RuntimeError):
    """The work was done and did not pass its gate; exit code 1."""
