"""The golden vectors that every app's code is held against."""

from __future__ import annotations

import json

from tests._sources import ROOT

GOLDEN = ROOT / "tests" / "golden"


def counted(*others: str) -> dict[str, int]:
    """How many vectors every app's files have, and `others`: a runner that leaves some out must not pass."""
    preprocess, decision, answers = (
        json.loads((GOLDEN / name / "cases.json").read_text("utf-8")) for name in ("preprocess", "decision", "answers")
    )
    return {
        "preprocess": sum(1 + len(case["inputs"]) for case in preprocess["cases"]),
        "decision": sum(len(decision[part]) for part in ("pictures", "outcomes", "refused")),
        "answers": sum(len(answers[part]) for part in ("encoded", "refused", "thresholds")),
        **{name: len(json.loads((GOLDEN / name / "cases.json").read_text("utf-8"))["cases"]) for name in others},
    }
