"""Phones' runtimes on this machine: what `dermedge setup` puts where, and how it is started."""

from __future__ import annotations

import os
from pathlib import Path

from edge.data.squares import cache_folder
from edge.errors import InputError

ENVIRONMENT = "DERMEDGE_PHONES"


def home() -> Path:
    """`$DERMEDGE_PHONES`, or `phones` in dermedge's cache folder."""
    own = os.environ.get(ENVIRONMENT)
    return Path(own) if own else cache_folder() / "phones"


class NotSetUp(InputError):
    """A runtime that a command would set up on this machine."""

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message)
        self.command = command


def not_set_up(place: Path, what: str, command: str) -> NotSetUp:
    return NotSetUp(f"{what} is not set up ({place} is missing); run `{command}` first, which downloads it", command)
