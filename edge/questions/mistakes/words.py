"""A diagnosis as a person reads it, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.questions.mistakes.diagnosis import FINE, NOISE, RATIO, TOLERANCE, Diagnosis, Finding
from edge.report import words
from edge.report.header import header
from edge.report.strict import plain

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = "dermedge/diagnosis/1"
SHOWN = 8  # hypotheses in the table
RULE = (
    f"A path explains the answer if no probability differs by more than {TOLERANCE:g}, and it is told from another one "
    f"that is {RATIO:g} times as far and farther by {NOISE:g}."
)
SOFTMAX_MISSING = "The app's numbers are logits: softmax is missing"
MANY = 8  # changed places of a class list that are worth naming


def sentences(diagnosis: Diagnosis, codes: Sequence[str]) -> list[str]:
    """The verdict first, then what to do about it."""
    best = diagnosis.findings[0]
    if not diagnosis.explained_by:
        said = [
            f"none: none of {len(diagnosis.findings)} paths explains the answer; the nearest is {named(best)}, "
            f"{distance(best)} away",
            "Look for a mistake that is not in docs/mistakes.md; pairs of those were tried as well. Is it the same "
            "photograph, the same model file and this manifest?",
        ]
        return said if best.reading == "probabilities" else [*said, "The numbers are no probabilities; read as logits."]
    first, *others = diagnosis.explained_by
    alike = ", ".join(named(finding) for finding in others if finding.hypothesis.code not in FINE)
    said = []
    if first.hypothesis.code in FINE:
        if diagnosis.verdict == "right":
            said = [f"right: the answer is that of the right path ({distance(first)} away)"]
        if alike:
            said.append(f"On this photograph these would answer the same, so it does not exclude them: {alike}.")
    elif diagnosis.verdict == "ambiguous":
        said = [
            f"ambiguous: {' or '.join(named(finding) for finding in diagnosis.explained_by)}",
            "Give more photographs with their answers: not square, colourful and sharp.",
        ]
    else:
        said = [f"mistake: {named(first)} explains the answer ({distance(first)} away)"]
    if first.reading != "probabilities":
        divided = "" if first.reading == "logits" else ", and they were not divided by the temperature"
        logits = f"{SOFTMAX_MISSING}{divided}. The exported graph ends with both."
        said.insert(0, f"mistake: {logits}") if first.hypothesis.code in FINE else said.append(logits)
    if first.hypothesis.code not in FINE:
        for finding in diagnosis.explained_by[: 1 if diagnosis.verdict == "mistake" else MANY]:
            said.append(f"{finding.hypothesis.code}: {finding.hypothesis.did} What to do: {finding.hypothesis.mend}")
        said += moved(first, codes)
        if diagnosis.harmless:
            said.append("It does no harm on this photograph: the right path, too, is within the tolerance.")
    if diagnosis.form:
        said.append(f"The app runs the {diagnosis.form} file, or one that answers alike.")
    return said


def named(finding: Finding) -> str:
    return f"{finding.hypothesis.name} ({finding.hypothesis.code})"


def distance(finding: Finding) -> str:
    return f"largest |Δp| {words.small(finding.largest_delta_p)}"


def moved(finding: Finding, codes: Sequence[str]) -> list[str]:
    """Where the classes went, those that have a probability worth telling apart."""
    answers = finding.hypothesis.answers[finding.form]
    places = [
        f"{codes[was]}'s stands at {codes[place]}"
        for place, was in enumerate(finding.hypothesis.order)
        if place != was and answers[:, place].max() > TOLERANCE
    ]
    more = f" and {len(places) - MANY} more" if len(places) > MANY else ""
    return [f"Of the probabilities {', '.join(places[:MANY])}{more}."] if places else []


def table(diagnosis: Diagnosis) -> Table:
    from rich.table import Table

    nearest = Table(title="how near each path comes")
    for name in ("path", "code", "nearer file"):
        nearest.add_column(name, no_wrap=True)
    for name in ("largest |Δp|", "logit SQNR dB"):
        nearest.add_column(name, justify="right")
    right = [f for f in diagnosis.findings[SHOWN:] if f.hypothesis.code == FINE[0]]
    for finding in [*diagnosis.findings[:SHOWN], *right]:
        mark = "→ " if finding in diagnosis.explained_by else "  "
        nearest.add_row(
            mark + finding.hypothesis.name, finding.hypothesis.code, finding.form, words.small(finding.largest_delta_p),
            words.measure(finding.sqnr_db, "dB", bare=True) if abs(finding.sqnr_db) < 1e6 else "equal",
        )  # fmt: skip
    return nearest


def as_json(diagnosis: Diagnosis, codes: Sequence[str]) -> dict[str, Any]:
    return {
        **header(SCHEMA),
        "verdict": diagnosis.verdict,
        "says": sentences(diagnosis, codes),
        "explained_by": [finding.hypothesis.code for finding in diagnosis.explained_by],
        "file": diagnosis.form,
        "harmless": diagnosis.harmless,
        "rule": {"tolerance": TOLERANCE, "ratio": RATIO, "noise": NOISE, "in_words": RULE},
        "paths": [
            plain(
                {
                    "code": finding.hypothesis.code,
                    "name": finding.hypothesis.name,
                    "did": finding.hypothesis.did,
                    "mend": finding.hypothesis.mend,
                    "reading": finding.reading,
                    "largest_delta_p": finding.largest_delta_p,
                    "by_file": finding.by_form,
                    "logit_sqnr_db": finding.sqnr_db,
                    "order": [codes[place] for place in finding.hypothesis.order],
                }
            )
            for finding in diagnosis.findings
        ],
    }
