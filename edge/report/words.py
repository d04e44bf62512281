"""Numbers of a report as a person reads them. Formatting only: nothing is computed here but the unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NOTHING = "–"
MOST_WORTH_ASKING_FOR = 20_000  # patients; hardly anybody has more that no training has seen
ON_DRAWN = "pass on drawn images"


def file_of(row: Mapping[str, Any]) -> str:
    """The file of a parity report's row, with how much was answered where it takes answers."""
    return f"{row['file']} ({row['answered']} answered)" if row.get("answered") else str(row["file"])


def number(holder: Mapping[str, Any], key: str, unit: str, *, bare: bool = False) -> str:
    """`holder[key]` with its unit; what is null in the JSON is said in words, from the neighbour '<key>_is'."""
    value = holder.get(key)
    if value is None:
        return {"infinite": "∞", "minus infinite": "-∞"}.get(holder.get(f"{key}_is", ""), NOTHING)
    return measure(value, unit, bare=bare)


def measure(value: float, unit: str, *, bare: bool = False) -> str:
    """A finite number with its unit, or without it where the unit stands elsewhere."""
    text, suffix = {
        "dB": lambda v: (f"{v:.1f}", " dB"),
        "share": lambda v: (f"{100 * v:.1f}", " %"),
        "points": lambda v: (f"{100 * v:+.2f}", " points"),
        "images": lambda v: (f"{v:.0f}", ""),
        "logit": lambda v: (f"{v:.1e}", ""),
        "p": lambda v: (small(v), ""),
    }[unit](value)
    return text if bare else text + suffix


def small(value: float) -> str:
    """A probability or a change of one: 0.123, 0.0042, 3.1e-07."""
    return "0" if value == 0 else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def interval(holder: Mapping[str, Any], unit: str) -> str:
    """'[low, high]', or nothing where there is none."""
    if holder.get("low") is None and "low_is" not in holder:
        return ""
    return f"[{number(holder, 'low', unit, bare=True)}, {number(holder, 'high', unit, bare=True)}]"


def with_interval(holder: Mapping[str, Any], unit: str) -> str:
    return f"{number(holder, 'value', unit)} {interval(holder, unit)}".rstrip()


def class_title(code: str, name: str) -> str:
    """A class by code and name: once where both are the same, as of a folder without labels.json."""
    return code if code.casefold() == name.casefold() else f"{code} {name}"


def size(count: int) -> str:
    """Bytes, in powers of 1000."""
    return f"{count} B" if count < 1000 else f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.2f} MB"


def limit(check: Mapping[str, Any]) -> str:
    if check.get("limit") is None:
        return ""
    wanted = check["limit"]
    if check["unit"] == "points":
        return f"{check['sense']} {100 * wanted:g} {'point' if wanted == 0.01 else 'points'}"
    if check["unit"] == "share":
        return f"{check['sense']} {100 * wanted:g} %"
    return f"{check['sense']} {wanted:g}" + (" dB" if check["unit"] == "dB" else "")


def in_words(check: Mapping[str, Any]) -> str:
    """A check in one line: the verdict, what was measured and what is asked. `undecided` says what would settle it."""
    parts = []
    if check.get("value") is not None or "value_is" in check:
        parts.append(f"{with_interval(check, check['unit'])}, wanted {limit(check)}")
    if check["note"]:
        parts.append(check["note"])
    return f"{check['verdict']}: " + "; ".join(parts) if parts else check["verdict"]


def undecided(checks: Iterable[Mapping[str, Any]], patients: int) -> str:
    """What would settle the inconclusive ones of all these checks, in one line; empty where none is.

    `patients`: that were seen. The estimate is rough, and so are its digits.
    """
    open_checks = [check for check in checks if check["verdict"] == "inconclusive"]
    if not open_checks:
        return ""
    known = [check.get("patients_needed") for check in open_checks]
    numbers = [count for count in known if count is not None and count <= MOST_WORTH_ASKING_FOR]
    names = ", ".join(dict.fromkeys(lower_first(check["name"]) for check in open_checks))
    line = f"too few patients to decide {names}: {patients:,} were seen"
    if numbers:
        line += f"; about {two_digits(max(numbers)):,} like them would decide"
    if len(numbers) < len(known):
        near = [lower_first(c["name"]) for c, n in zip(open_checks, known, strict=True) if n not in numbers]
        line += (
            f"; {', '.join(dict.fromkeys(near))}: what was measured lies too near the limit for photographs to decide; "
            "take a recipe that loses less"
        )
    return line


def lower_first(name: str) -> str:
    """The name of a check inside a sentence: "Drop of ..." gets a small letter, "SQNR" would keep its capitals."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def verdict_on(verdict: str, *, synthetic: bool) -> str:
    """A verdict as a person reads it: what passes on drawn images alone is told apart from what passes on skin."""
    return ON_DRAWN if synthetic and verdict == "pass" else verdict


def seen_of(statistics: Mapping[str, Any]) -> str:
    """How many photographs, views and patients a figure stands on; reports of before know of no views."""
    if statistics.get("views", 1) == 1:
        return f"{statistics['images']:,} images"
    return (
        f"{statistics['photographs']:,} photographs in {statistics['views']} views each, "
        f"of {statistics['patients']:,} patients"
    )


def two_digits(count: int) -> int:
    """A count rounded up to its first two digits: 1,523 becomes 1,600."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def kind_of_images(*, synthetic: bool, patients_unknown: bool) -> str:
    """What a network was judged on, for the head of a table."""
    if synthetic:
        return "synthetic images"
    return "photographs of patients that may have trained it" if patients_unknown else "photographs of unseen patients"


def kind_in(data: Mapping[str, Any]) -> str:
    """The same of a report's `data`; reports of before say nothing of patients."""
    return kind_of_images(synthetic=data["synthetic"], patients_unknown=data.get("patients_unknown", False))
