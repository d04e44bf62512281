"""Decisions as a section of the one report. No arithmetic but per cents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.decision import CHECKS, RETAKE, UNCERTAIN
from edge.questions.decision.tables import interval, share
from edge.report import malignancy, plots
from edge.report.template import template

SCHEMA = "dermedge/decision-report/1"
TITLE = "A class, uncertain, or another photograph?"
MOST_ALARMS = 48  # thumbnails on the page
MEANINGS = {
    "light": "luma that a tenth of the pixels exceeds, 0 to 255",
    "clipped": "pixels of luma 250 and more, thousandths",
    "contrast": "luma from the 5th to the 95th percentile, 0 to 255",
    "fine": "differences over 1 pixel against 2, the blurrier direction, thousandths",
    "coarse": "differences over 1 pixel against 4, the blurrier direction, thousandths",
    "busy": "differences over 1 pixel against 2, thousandths",
    "warm": "pixels of reddish colour, thousandths",
    "green": "pixels of green colour, thousandths",
    "spot": "the most that a mean in the middle differs from the border, luma, 0 to 255",
}


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML. `pictures`: image id -> data address, of the photographs sent back; any may be missing.

    Everything that came from outside (names of sets and photographs) is escaped by the template.
    """
    alarms = report["alarms"][:MOST_ALARMS]
    flags = [label["malignant"] for label in report.get("classes", ())]
    known = malignancy.both_known(flags) or not flags  # older reports do not list their classes
    return template("edge.questions.decision", "decision.html.j2", share=share, interval=interval).render(
        report=report,
        rule=report["decision"],
        checks={name: (kind, words, MEANINGS[name]) for name, (kind, words) in CHECKS.items()},
        curves=[(part, plots.risk_coverage(part["curve"])) for part in report["sets"] if part["curve"]],
        alarms=alarms,
        more=len(report["alarms"]) - len(alarms),
        pictures=pictures,
        malignancy_known=known,
        some_unknown=None in flags,
        remark=malignancy.remark(flags) if flags else "",
        retake=RETAKE,
        uncertain=UNCERTAIN,
    )
