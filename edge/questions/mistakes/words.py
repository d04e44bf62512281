"""A diagnosis as a person reads it, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.questions.mistakes.diagnosis import FINE, NOISE, RATIO, TOLERANCE, Diagnosis, Finding
from edge.questions.parity.report import NOTICE, plain
from edge.report import words

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


def sentences(found: Diagnosis, codes: Sequence[str]) -> list[str]:
    """The verdict first, then what to do about it."""
    best = found.findings[0]
    if not found.explained_by:
        said = [
            f"none: none of {len(found.findings)} paths explains the answer; the nearest is {named(best)}, "
            f"{distance(best)} away",
            "Look for a mistake that is not in this table, or for two at once. Is it the same photograph, the same "
            "model file and this manifest?",
        ]
        return said if best.reading == "probabilities" else [*said, "The numbers are no probabilities; read as logits."]
    first, *others = found.explained_by
    alike = ", ".join(named(one) for one in others if one.hypothesis.code not in FINE)
    said = []
    if first.hypothesis.code in FINE:
        if found.verdict == "right":
            said = [f"right: the answer is that of the right path ({distance(first)} away)"]
        if alike:
            said.append(f"On this photograph these would answer the same, so it does not exclude them: {alike}.")
    elif found.verdict == "ambiguous":
        said = [
            f"ambiguous: {' or '.join(named(one) for one in found.explained_by)}",
            "Give more photographs, --photo and --phone-output once for each: not square, colourful and sharp.",
        ]
    else:
        said = [f"mistake: {named(first)} explains the answer ({distance(first)} away)"]
    if first.reading != "probabilities":
        divided = "" if first.reading == "logits" else ", and they were not divided by the temperature"
        logits = f"{SOFTMAX_MISSING}{divided}. The exported graph ends with both."
        said.insert(0, f"mistake: {logits}") if first.hypothesis.code in FINE else said.append(logits)
    if first.hypothesis.code not in FINE:
        for one in found.explained_by[: 1 if found.verdict == "mistake" else MANY]:
            said.append(f"{one.hypothesis.code}: {one.hypothesis.did} Mend: {one.hypothesis.mend}")
        said += moved(first, codes)
        if found.harmless:
            said.append("On this photograph it does no harm that counts: the right path, too, is within the tolerance.")
    if found.form:
        said.append(f"The app runs the {found.form} file, or one that answers alike.")
    return said


def named(one: Finding) -> str:
    return f"{one.hypothesis.name} ({one.hypothesis.code})"


def distance(one: Finding) -> str:
    return f"largest |Δp| {words.small(one.largest_delta_p)}"


def moved(one: Finding, codes: Sequence[str]) -> list[str]:
    """Where the classes went, those that have a probability worth telling apart."""
    answers = one.hypothesis.answers[one.form]
    places = [
        f"{codes[was]}'s stands at {codes[place]}"
        for place, was in enumerate(one.hypothesis.order)
        if place != was and answers[:, place].max() > TOLERANCE
    ]
    more = f" and {len(places) - MANY} more" if len(places) > MANY else ""
    return [f"Of the probabilities {', '.join(places[:MANY])}{more}."] if places else []


def table(found: Diagnosis) -> Table:
    from rich.table import Table

    made = Table(title="how near each path comes")
    for name in ("path", "code", "nearer file"):
        made.add_column(name, no_wrap=True)
    for name in ("largest |Δp|", "logit SQNR dB"):
        made.add_column(name, justify="right")
    right = [f for f in found.findings[SHOWN:] if f.hypothesis.code == FINE[0]]
    for one in [*found.findings[:SHOWN], *right]:
        mark = "→ " if one in found.explained_by else "  "
        made.add_row(
            mark + one.hypothesis.name, one.hypothesis.code, one.form, words.small(one.largest_delta_p),
            words.measure(one.sqnr_db, "dB", bare=True) if abs(one.sqnr_db) < 1e6 else "equal",
        )  # fmt: skip
    return made


def as_json(found: Diagnosis, codes: Sequence[str]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "verdict": found.verdict,
        "says": sentences(found, codes),
        "explained_by": [one.hypothesis.code for one in found.explained_by],
        "file": found.form,
        "harmless": found.harmless,
        "rule": {"tolerance": TOLERANCE, "ratio": RATIO, "noise": NOISE, "in_words": RULE},
        "paths": [
            plain(
                {
                    "code": one.hypothesis.code,
                    "name": one.hypothesis.name,
                    "did": one.hypothesis.did,
                    "mend": one.hypothesis.mend,
                    "reading": one.reading,
                    "largest_delta_p": one.largest_delta_p,
                    "by_file": one.by_form,
                    "logit_sqnr_db": one.sqnr_db,
                    "order": [codes[place] for place in one.hypothesis.order],
                }
            )
            for one in found.findings
        ],
    }
