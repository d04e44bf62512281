"""Parity as a section of the one report: plots and pictures are inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.questions.matrix.tables import small
from edge.questions.parity import beside, scheme_section
from edge.questions.parity.explained import lines as explained_lines
from edge.questions.parity.runtimes import HERE, lines
from edge.report import class_counts, malignancy, plots, words
from edge.report.template import template

SCHEMA = "dermedge/parity/1"
TITLE = "Is the phone's answer the model's answer?"
SIGNS = {"pass": "✓", words.ON_DRAWN: "✓", "fail": "✗", "inconclusive": "?", "reported": "•", "not judged": "–"}
EXPLAINED = {"same": "pass", "differs": "fail", "reported": "reported"}  # state -> class of the page's style
SENTENCES = {
    "pass": "Every file gives the model's answers",
    "fail": "Not every file gives the model's answers",
    "inconclusive": "No file failed, but too few patients were seen to be sure of all of them",
    "reported": "Measured; no limits apply to these files",
}


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML. `pictures`: image id -> data address, for the worst images; any may be missing.

    Everything that came from outside (names, ids) is escaped by the template.
    """
    rows = [_overview_row(file, _several_runtimes(report)) for file in report["files"]]
    flags = [label["malignant"] for label in report["classes"]]
    synthetic = report["data"]["synthetic"]
    return template("edge.questions.parity", "parity.html.j2").render(
        report=report,
        sentence=sentence(report),
        views=views_line(report),
        runtimes=list(lines(report)),
        against_source=any(file.get("explained") for file in report["files"]),
        beyond=list(explained_lines(report)),
        phones=_phones(report),
        phone_lines=list(beside.lines(report.get("phones"))),
        counts=_counts(report),
        signs=SIGNS,
        files=[_file(file, index, flags, synthetic) for index, file in enumerate(report["files"], start=1)],
        overview=[plots.sqnr_overview(rows), plots.agreement_overview(rows)],
        pictures=pictures,
        remark=malignancy.remark(flags),
        some_unknown=None in flags,
        interpreted=any(file["runtime"] == "interpreter" for file in report["files"]),
        schemes=scheme_section.views(report.get("schemes") or {}),
    )


def sentence(report: Mapping[str, Any]) -> str:
    """The answer to the section's question, and what would settle it where it is open."""
    said = SENTENCES[report["verdict"]]
    if report["data"]["synthetic"] and report["verdict"] == "pass":
        said += " on images that a program drew; photographs have not been judged"
    checks = (check for file in report["files"] for check in file["checks"])
    settled = words.undecided(checks, report["data"]["patients"])
    return f"{said}. {settled[:1].upper()}{settled[1:]}" if settled else said


def views_line(report: Mapping[str, Any]) -> str:
    """On how many views the figures stand; empty where photographs were judged as they are."""
    count = report["data"].get("views", 1)
    if count == 1:
        return ""
    return (
        f"Each was judged as it is and in {count - 1} views more, as a hand-held phone would have taken it: turned, "
        "shifted, nearer or farther, brighter or darker. Figures and intervals are over all views, and take the views "
        "and photographs of a patient together: they are about a hand-held photograph of a patient who was not seen, "
        "not about these files."
    )


def _counts(report: Mapping[str, Any]) -> list[tuple[str, int]]:
    """How many files got each verdict, those that occur."""
    verdicts = [file["verdict"] for file in report["files"]]
    synthetic = report["data"]["synthetic"]
    return [
        (words.verdict_on(verdict, synthetic=synthetic), verdicts.count(verdict))
        for verdict in SENTENCES
        if verdict in verdicts
    ]


def _several_runtimes(report: Mapping[str, Any]) -> bool:
    return len({file["runtime"] for file in report["files"]}) > 1


def shown_images(report: Mapping[str, Any]) -> set[str]:
    """The images of which the section shows pictures."""
    return {image["image"] for file in report["files"] for image in file["worst"]}


def _overview_row(file: Mapping[str, Any], several_runtimes: bool) -> dict[str, Any]:
    statistics = file["statistics"]
    recipe = f"{file['recipe']}, {file['answered']} answered" if file.get("answered") else file["recipe"]
    name = f"{recipe}, {file['runtime']}" if several_runtimes else recipe
    limits = {check["name"]: check["limit"] for check in file["checks"]}
    row: dict[str, Any] = {
        "name": name if len(name) <= 30 else name[:29] + "…",
        "verdict": file["verdict"],
        "limit": limits.get("Median SQNR of the logits"),
        "agreement_limit": _per_cent(limits.get("Top-1 agreement")),
        "identical": False,
    }
    if statistics is None:
        return row | dict.fromkeys(("median", "p5", "agreement", "low", "high"))
    agreement = statistics["agreement"]
    return row | {
        "median": statistics["sqnr_db"]["value"],
        "p5": statistics["sqnr_db_p5"],
        "identical": statistics["sqnr_db"].get("value_is") == "infinite",
        "agreement": _per_cent(agreement["value"]),
        "low": _per_cent(agreement["low"]),
        "high": _per_cent(agreement["high"]),
    }


def _per_cent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _file(file: Mapping[str, Any], index: int, flags: list[bool | None], synthetic: bool) -> dict[str, Any]:
    """What the template shows of one file, as text."""
    view: dict[str, Any] = {
        "anchor": f"file-{index}",
        "name": words.file_of(file),
        "recipe": file["recipe"],
        "runtime": file["runtime"],
        "here": file["runtime"] == HERE and not file.get("answered"),
        "file": file["file"],
        "size": words.size(file["bytes"]),
        "sha256": file["sha256"],
        "verdict": words.verdict_on(file["verdict"], synthetic=synthetic),
        "headline": _headline(file),
        "checks": [_check(check) for check in file["checks"]],
        "worst": [_image(image) for image in file["worst"]],
        "explained": _explained(file.get("explained")),
        "numbers": None,
    }
    statistics = file["statistics"]
    if statistics is not None:
        view["numbers"] = _numbers(statistics)
        view["masks"] = _masks(statistics["masks"]) if statistics.get("masks") else None
        view["plots"] = [("How far probabilities move", plots.delta_p(file["delta_p"]))]
        labelled = statistics["labelled"]
        if labelled is not None:
            curves = (labelled["reliability_before"], labelled["reliability_after"])
            view["plots"].append(("Confidence against correctness", plots.reliability(*curves)))
            view["labelled"] = _labelled(labelled, flags)
        else:
            view["labelled"] = None
    return view


def _phones(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    """Phone's library -> file -> what a place of its column shows, in the rows of this machine's own runtime."""
    columns: dict[str, dict[str, dict[str, str]]] = {}
    for row in (*report.get("runtimes", ()), *(report.get("phones") or {}).get("rows", ())):
        numbers = f"{small(row['largest'])} ({small(row['limit'])})" if row["largest"] is not None else row["state"]
        columns.setdefault(row["runtime"], {})[row["file"]] = {
            "verdict": EXPLAINED.get(row["state"], "reported"),
            "text": numbers,
            "images": f"{row['images']} image{'s' if row['images'] > 1 else ''}",
        }
    return columns


def _explained(row: Mapping[str, Any] | None) -> dict[str, str] | None:
    """How far a file is from PyTorch on the pictures that a limit was derived for, and that limit."""
    if row is None:
        return None
    return {
        "largest": small(row["largest"]),
        "limit": small(row["limit"]),
        "verdict": EXPLAINED[row["state"]],
        "why": row["why"],
    }


def _headline(file: Mapping[str, Any]) -> str:
    """The one line that says why the verdict is what it is."""
    decisive = [check for check in file["checks"] if check["verdict"] == file["verdict"]]
    if file["verdict"] in {"fail", "inconclusive"}:
        first, *others = decisive
        also = f"; also: {', '.join(check['name'] for check in others)}" if others else ""
        return f"{first['name']}: {words.in_words(first).removeprefix(file['verdict'] + ': ')}{also}."
    if file["verdict"] == "reported":
        return f"This recipe has no gate; it is measured on {_seen(file)}."
    unjudged = [check["name"] for check in file["checks"] if check["verdict"] == "not judged"]
    rest = f"; not judged: {', '.join(unjudged)}" if unjudged else ""
    return f"All {len(decisive)} checks that apply pass on {_seen(file)}{rest}."


def _seen(file: Mapping[str, Any]) -> str:
    return words.seen_of(file["statistics"] or {"images": file["images"]})


def _check(check: Mapping[str, Any]) -> dict[str, str]:
    notes = [check["note"]] if check["note"] else []
    return {
        "name": check["name"],
        "verdict": check["verdict"],
        "value": words.number(check, "value", check["unit"]) if check["unit"] else "",
        "interval": words.interval(check, check["unit"]) if check["unit"] else "",
        "limit": words.limit(check),
        "note": "; ".join(notes),
    }


def _numbers(statistics: Mapping[str, Any]) -> dict[str, Any]:
    labelled = statistics["labelled"]
    accuracy = labelled["balanced_accuracy"] if labelled else None
    return {
        "sqnr": words.number(statistics["sqnr_db"], "value", "dB"),
        "sqnr_p5": words.number(statistics, "sqnr_db_p5", "dB"),
        "agreement": words.number(statistics["agreement"], "value", "share"),
        "agreement_interval": words.interval(statistics["agreement"], "share"),
        "largest": words.number(statistics, "largest_delta_p", "p"),
        "mean": words.number(statistics, "mean_delta_p", "p"),
        "accuracy": _before_after(accuracy) if accuracy else words.NOTHING,
        "identical": statistics["identical_images"],
        "domains": [_domain(domain) for domain in statistics["domains"]],
        "alone": _alone(statistics["alone"], statistics["photographs"]) if statistics.get("alone") else None,
    }


def _alone(alone: Mapping[str, Any], photographs: int) -> dict[str, Any]:
    """The photographs themselves, without their other views."""
    return {
        "photographs": f"{photographs:,}",
        "agreement": words.with_interval(alone["agreement"], "share"),
        "flips": alone["disagreements"],
        "sqnr": words.with_interval(alone["sqnr_db"], "dB"),
        "largest": words.number(alone, "largest_delta_p", "p"),
        "drop": words.number(alone, "drop", "points"),
    }


def _before_after(pair: Mapping[str, Any]) -> str:
    before = words.number(pair["before"], "value", "share", bare=True)
    return f"{before} → {words.number(pair['after'], 'value', 'share')}"


def _pair(name: str, pair: Mapping[str, Any], images: int | None = None, mark: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "mark": mark,
        "images": "" if images is None else f"{images:,}",
        "before": words.with_interval(pair["before"], "share"),
        "after": words.with_interval(pair["after"], "share"),
    }


def _labelled(labelled: Mapping[str, Any], flags: list[bool | None]) -> dict[str, Any]:
    before, after = (labelled[key] for key in ("reliability_before", "reliability_after"))
    named = class_counts.balanced_accuracy_of({c["code"]: c["images"] for c in labelled["classes"]})
    rows = [_pair(named.capitalize(), labelled["balanced_accuracy"], labelled["images"])]
    if malignancy.both_known(flags):
        rows += [
            _pair("Malignant, called malignant (sensitivity)", labelled["sensitivity"]),
            _pair("Benign, called benign (specificity)", labelled["specificity"]),
        ]
    return {
        "images": f"{labelled['images']:,}",
        "patients": f"{labelled['patients']:,}",
        "rows": rows,
        "classes": [
            _pair(
                words.class_title(c["code"], c["name"]), c["sensitivity"], c["images"], malignancy.mark(c["malignant"])
            )
            for c in labelled["classes"]
        ],
        "calibration_change": words.interval(labelled.get("calibration_change") or {}, "share"),
        "calibration": (words.number(before, "error", "share"), words.number(after, "error", "share")),
        "lost": labelled["lost"],
        "gained": labelled["gained"],
        "p": words.number(labelled, "mcnemar_p", "p"),
    }


def _masks(masks: Mapping[str, Any]) -> dict[str, Any]:
    def pixels(holder: Mapping[str, Any], key: str) -> str:
        return words.NOTHING if holder.get(key) is None else f"{holder[key]:.2f} pixels"

    return {
        "images": f"{masks['images']:,}",
        "both_empty": masks["both_empty"],
        "one_empty": masks["one_empty"],
        "rows": [
            ("Dice, median", words.with_interval(masks["dice"], "share")),
            ("Dice, 5th percentile", words.number(masks, "dice_p5", "share")),
            ("Intersection over union, median", words.number(masks, "iou", "share")),
            ("Distance of the boundaries (95 % Hausdorff), median", pixels(masks["boundary"], "value")),
            ("the same, 95th percentile over images", pixels(masks, "boundary_p95")),
        ],
    }


def _domain(domain: Mapping[str, Any]) -> dict[str, Any]:
    accuracy = {key: words.number(domain, f"balanced_accuracy_{key}", "share") for key in ("before", "after")}
    return {
        "name": domain["name"],
        "images": f"{domain['images']:,}",
        "labelled": f"{domain['labelled']:,}",
        "agreement": words.with_interval(domain["agreement"], "share"),
        "sqnr": words.number(domain, "sqnr_db", "dB"),
        "largest": words.number(domain, "largest_delta_p", "p"),
        **accuracy,
    }


def _image(image: Mapping[str, Any]) -> dict[str, Any]:
    def answer(classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            c
            | {
                "text": words.measure(c["probability"], "share"),
                "width": _bar(c["probability"]),
                "sign": malignancy.sign(c["malignant"]),
            }
            for c in classes
        ]

    return {
        "image": image["image"],
        "domain": image["domain"],
        "label": image["label"],
        "same_class": image["same_class"],
        "delta": words.number(image, "largest_delta_p", "p"),
        "answers": [("float model", answer(image["before"])), ("this file", answer(image["after"]))],
    }


def _bar(probability: float) -> str:
    """Length of a bar, of 100; answers may leave 0..1 by what rounding does."""
    return words.measure(min(max(probability, 0.0), 1.0), "share", bare=True)
