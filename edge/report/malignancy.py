"""Malignant, benign or unknown, in words. A class of unknown malignancy is counted on neither side."""

from __future__ import annotations

from collections.abc import Iterable

UNKNOWN = "malignancy unknown"
ONE_SIDED = "Malignant against benign is left out: no class is known to be malignant, or none is known to be benign."
NOT_COUNTED = "Photographs of a class whose malignancy is unknown are not counted there."


def mark(malignant: bool | None) -> str:
    """What stands beside a class; nothing beside a benign one."""
    return UNKNOWN if malignant is None else "malignant" if malignant else ""


def sign(malignant: bool | None) -> str:
    """The same in one character."""
    return "?" if malignant is None else "*" if malignant else ""


def both_known(flags: Iterable[bool | None]) -> bool:
    """Whether there are classes of either kind, so that one can be told from the other."""
    return {True, False} <= set(flags)


def remark(flags: Iterable[bool | None]) -> str:
    """The sentence that figures of malignant against benign need, or nothing where every class is known."""
    known = list(flags)
    return ONE_SIDED if not both_known(known) else NOT_COUNTED if None in known else ""
