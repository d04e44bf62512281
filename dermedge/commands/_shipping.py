"""What a conversion came to, in five lines: which file to ship for which phone and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermedge._rooms import room
from edge.artifact import MANIFEST
from edge.report import words

if TYPE_CHECKING:
    from pathlib import Path

    from convert._convert import Conversion
    from convert._judge import Judged


def five_lines(conversion: Conversion, log: Path) -> list[str]:
    """For rich's console: what to ship, the next best, what was rejected, what is open, and where all is."""
    from rich.markup import escape

    lines = [*map(escape, shipping(conversion)), *rejected(conversion), *open_questions(conversion)]
    return [*lines, escape(places(conversion, log))]


def shipping(conversion: Conversion) -> list[str]:
    """The file to ship and the next."""
    if conversion.checkpoint.untrained:
        return ["ship nothing: the weights are random, and only sizes, times and SQNR mean something"]
    kept = [result for result in conversion.judged if not result.rejected]
    best = room("convert._recommend").recommended(conversion.form, kept)
    if not best:
        return ["ship nothing yet: no file passed its gate"]
    first, *others = best
    lines = [f"ship {described(conversion, first)}; {on_what(conversion, first)}"]
    return [*lines, f"next {described(conversion, others[0])}"] if others else lines


def described(conversion: Conversion, result: Judged) -> str:
    """A file, its size, the oldest system that opens it, and the part of a phone that it is for."""
    entry = conversion.manifest.entry(result.path.name)
    facts = [words.size(entry.bytes) if entry else "", result.opens_from]
    told = room("convert._recommend").SEEN.get((conversion.form, result.recipe))
    why = "; ".join(filter(None, [told, entry.purpose if entry else ""]))
    return f"{result.path.name} ({', '.join(filter(None, facts))}): {why}"


def on_what(conversion: Conversion, result: Judged) -> str:
    """That a file passed, and what it was judged on."""
    parity, photos = result.parity, conversion.photos
    views = (parity.views or 1) if parity else 1
    each = f" in {views} views each" if views > 1 else ""
    things = "drawn images" if photos.synthetic else "photographs"
    passed = words.verdict_on("pass", synthetic=photos.synthetic)
    return f"{passed}: {len(photos)} {things}{each}, of {len(set(photos.patients))} patients"


def rejected(conversion: Conversion) -> list[str]:
    """What was rejected and why, and what is kept although it failed."""
    from rich.markup import escape

    names = conversion.rejected
    failed = [result.name for result in conversion.judged if result.verdict == "fail" and not result.rejected]
    kept = f"{', '.join(failed)} failed a gate that does not bind and {'are' if len(failed) > 1 else 'is'} kept"
    if not names:
        return [escape(kept)] if failed else []
    causes = dict.fromkeys(remark for result in conversion.judged if result.rejected for remark in result.remarks)
    why = "; ".join(causes) or "with --strict the audit's warnings count, and --verbose shows them"
    line = f"[bold red]rejected[/] {escape(', '.join(names))}: {escape(why)}"
    return [f"{line}; {escape(kept)}" if failed else line]


def open_questions(conversion: Conversion) -> list[str]:
    """What too few patients leave undecided, in one line."""
    from rich.markup import escape

    checks = [check for result in conversion.judged for check in result.undecided]
    line = words.undecided(checks, len(set(conversion.photos.patients)))
    return [f"[yellow]{escape(line)}[/]"] if line else []


def places(conversion: Conversion, log: Path) -> str:
    """How many files lie where, and how to see the rest."""
    written = len(conversion.judged) - len(conversion.rejected)
    warnings = sum(len(result.audit.warnings) for result in conversion.judged if result.audit)
    notes = f", {warnings} notes on accelerators" if warnings else ""
    return (
        f"{written} file(s) and {MANIFEST} in {conversion.folder}, {conversion.seconds:.0f} s; "
        f"figures, operators{notes}: --verbose, or {log}"
    )
