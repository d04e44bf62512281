"""What a conversion came to, in five lines: which file to ship for which phone and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dermedge._rooms import room
from edge.artifact import MANIFEST
from edge.report import words

if TYPE_CHECKING:
    from pathlib import Path

    from convert._convert import Conversion
    from convert._judge import Judged


def five_lines(conversion: Conversion, log: Path, looked: Mapping[str, Any] | None = None) -> list[str]:
    """For rich's console: what to ship, the next best, what was rejected, what is open, and where all is.

    `looked`: what phones' libraries that are set up here said, as `edge.questions.parity.beside` has it; None where
    they were not asked.
    """
    from rich.markup import escape

    lines = [*map(escape, shipping(conversion, looked)), *rejected(conversion, looked), *open_questions(conversion)]
    return [*lines, escape(places(conversion, log, looked))]


def shipping(conversion: Conversion, looked: Mapping[str, Any] | None) -> list[str]:
    """The file to ship and the next."""
    if conversion.checkpoint.untrained:
        return ["ship nothing: the weights are random, and only sizes, times and SQNR mean something"]
    kept = [result for result in conversion.judged if not result.rejected]
    wrong = {row["file"] for row in (looked or {}).get("rows", ()) if row["state"] == "differs"}
    best = [
        result
        for result in room("convert._recommend").recommended(conversion.form, kept)
        if result.path.name not in wrong
    ]
    closed = {file for file, _ in refusals(looked)}
    best.sort(key=lambda result: result.path.name in closed)  # what every library opens comes first
    if not best:
        return ["ship nothing yet: no file passed its gate"]
    first, *others = best
    lines = [f"ship {described(conversion, first)}; {on_what(conversion, first)}{as_here(first, looked)}"]
    return [*lines, f"next {described(conversion, others[0])}"] if others else lines


def refusals(looked: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Files that a phone's library does not open, and what it said."""
    rows = [row for row in (looked or {}).get("rows", ()) if row["state"] == "refused"]
    return [(row["file"], f"{row['file']} on {row['runtime']}: {row['why']}") for row in rows]


def described(conversion: Conversion, result: Judged) -> str:
    """A file, its size, the oldest system that opens it, and the part of a phone that it is for."""
    entry = conversion.manifest.entry(result.path.name)
    facts = [words.size(entry.bytes) if entry else "", result.opens_from]
    told = room("convert._recommend").SEEN.get((conversion.form, result.recipe))
    why = "; ".join(filter(None, [told, entry.purpose if entry else ""]))
    return f"{result.path.name} ({', '.join(filter(None, facts))}): {why}"


def as_here(result: Judged, looked: Mapping[str, Any] | None) -> str:
    """The phones' libraries that were seen to answer as this machine does."""
    rows = [row for row in (looked or {}).get("rows", ()) if (row["file"], row["state"]) == (result.path.name, "same")]
    names = [f"{row['runtime']} {row['version']}".strip() for row in rows]
    return f"; the same answer on {' and '.join(names)}, emulated, {rows[0]['images']} image" if rows else ""


def on_what(conversion: Conversion, result: Judged) -> str:
    """That a file passed, and what it was judged on."""
    parity, photos = result.parity, conversion.photos
    views = (parity.views or 1) if parity else 1
    each = f" in {views} views each" if views > 1 else ""
    things = "drawn images" if photos.synthetic else "photographs"
    passed = words.verdict_on("pass", synthetic=photos.synthetic)
    return f"{passed}: {len(photos)} {things}{each}, of {len(set(photos.patients))} patients"


def rejected(conversion: Conversion, looked: Mapping[str, Any] | None) -> list[str]:
    """What a phone answers otherwise or does not open, what was rejected and why, what is kept although it failed."""
    from rich.markup import escape

    from edge.questions.parity.beside import wrong_lines

    parts = [f"[bold red]wrong on a phone[/] {escape(line)}" for line in wrong_lines(looked)]
    parts += [f"[bold red]refused by a phone's library[/] {escape(line)}" for _, line in refusals(looked)]
    names = conversion.rejected
    failed = [result.name for result in conversion.judged if result.verdict == "fail" and not result.rejected]
    kept = f"{', '.join(failed)} failed a gate that does not bind and {'are' if len(failed) > 1 else 'is'} kept"
    if names:
        causes = dict.fromkeys(remark for result in conversion.judged if result.rejected for remark in result.remarks)
        why = "; ".join(causes) or "with --strict the audit's warnings count, and --verbose shows them"
        parts.append(f"[bold red]rejected[/] {escape(', '.join(names))}: {escape(why)}")
    if failed:
        parts.append(escape(kept))
    return ["; ".join(parts)] if parts else []


def open_questions(conversion: Conversion) -> list[str]:
    """What too few patients leave undecided, in one line."""
    from rich.markup import escape

    checks = [check for result in conversion.judged for check in result.undecided]
    line = words.undecided(checks, len(set(conversion.photos.patients)))
    return [f"[yellow]{escape(line)}[/]"] if line else []


def places(conversion: Conversion, log: Path, looked: Mapping[str, Any] | None) -> str:
    """How many files lie where, and how to see the rest."""
    written = len(conversion.judged) - len(conversion.rejected)
    warnings = sum(len(result.audit.warnings) for result in conversion.judged if result.audit)
    notes = f", {warnings} notes on accelerators" if warnings else ""
    missing = [f"`{command}`" for command in (looked or {}).get("missing", ())]
    phones = f"; not run in phones' libraries ({' and '.join(missing)})" if missing else ""
    return (
        f"{written} file(s) and {MANIFEST} in {conversion.folder}, {conversion.seconds:.0f} s; "
        f"figures, operators{notes}: --verbose, or {log}{phones}"
    )
