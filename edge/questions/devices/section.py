"""What devices answered, as a section of the one report. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.questions.devices import tables
from edge.report import malignancy, words
from edge.report.template import template

SCHEMA = "dermedge/devices/1"
TITLE = "What did devices answer?"
SIGNS = {"pass": "✓", "fail": "✗"}
SENTENCES = {
    "pass": "Every device gave the classes that the float model is sure of",
    "fail": "Not every device gave the classes that the float model is sure of",
}
FIRST = 3  # classes shown of an answer, as in the pages of parity


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML; names from outside are escaped by the template."""
    verdicts = [row["verdict"] for row in report["rows"]]
    return template("edge.questions.devices", "devices.html.j2").render(
        report=report,
        counts=[(verdict, verdicts.count(verdict)) for verdict in SENTENCES if verdict in verdicts],
        sentence=SENTENCES[report["verdict"]],
        signs=SIGNS,
        files={file["file"]: {**file, "size": words.size(file["bytes"])} for file in report["files"]},
        rows=[device(row, place, report["classes"]) for place, row in enumerate(report["rows"], start=1)],
        proves=tables.PROVES,
        some_unknown=any(label["malignant"] is None for label in report["classes"]),
    )


def device(row: Mapping[str, Any], place: int, classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template shows of one device, as text."""
    times = row["milliseconds"]
    wrong = sum(image["wrong"] for image in row["images"])
    return {
        **{key: row[key] for key in ("file", "model", "system", "accelerator", "verdict")},
        "anchor": f"device-{place}",
        "runtime": f"{row['runtime']} {row['version']}",
        "short_system": tables.shortened(row["system"]),
        "count": len(row["images"]),
        "largest": words.small(row["largest_delta_p"]),
        "wrong": wrong,
        **{name: tables.milliseconds(times[name]) for name in ("load", "first", "cold", "median", "p90")},
        "runs": times["runs"],
        "memory": tables.memory(row["memory_bytes"]),
        "images": [picture(image, classes) for image in row["images"]],
    }


def picture(image: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One self-test image: the first classes of what was expected, and the same classes as they were obtained."""
    expected, obtained = image["expected"], image["obtained"]
    likeliest = dict.fromkeys([*highest(expected), *highest(obtained)])
    return {
        "image": image["image"],
        "answers": image["answers"],
        "wrong": image["wrong"],
        "delta": words.small(image["largest_delta_p"]),
        "columns": [
            (who, [share(numbers[i], classes[i]) for i in sorted(likeliest, key=lambda i: -numbers[i])])
            for who, numbers in (("expected", expected), ("obtained", obtained))
        ],
    }


def highest(numbers: Sequence[float]) -> list[int]:
    """The places of the largest probabilities, the largest first."""
    return sorted(range(len(numbers)), key=lambda i: -numbers[i])[:FIRST]


def share(probability: float, label: Mapping[str, Any]) -> dict[str, str]:
    return {
        "code": label["code"],
        "name": label["name"],
        "sign": malignancy.sign(label["malignant"]),
        "text": words.measure(probability, "share"),
        "width": f"{100 * min(max(probability, 0.0), 1.0):.2f}",
    }
