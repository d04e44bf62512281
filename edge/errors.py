"""The two ways in which a command ends badly, and the exit code of each."""

from __future__ import annotations

GOOD, GATE_FAILED, BAD_INPUT = 0, 1, 2


class InputError(ValueError):
    """What came is not what was expected. The message says what, where and what to do; exit code 2."""


class GateError(RuntimeError):
    """The work was done and did not pass its gate; exit code 1."""
