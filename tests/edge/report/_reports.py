"""A small report of every question, made by the question's own arithmetic where that is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.data.table import Photo, PhotoSet
from edge.decision import CHECKS, OUTCOMES, Measurements
from edge.files import write_json
from edge.labels import Label
from edge.metrics.gates import Observations, judge
from edge.metrics.selection import selection
from edge.metrics.statistics import wilson
from edge.questions.decision.coverage import risk_coverage
from edge.questions.decision.measure import DecisionReport
from edge.questions.decision.section import SCHEMA as DECISION
from edge.questions.devices.measure import DevicesReport
from edge.questions.devices.section import SCHEMA as DEVICES
from edge.questions.layers.measure import LayersReport
from edge.questions.layers.section import SCHEMA as LAYERS
from edge.questions.matrix.measure import MatrixReport
from edge.questions.matrix.section import SCHEMA as MATRIX
from edge.questions.mistakes.cost import Answers, compare
from edge.questions.mistakes.measure import MistakesReport
from edge.questions.mistakes.section import SCHEMA as MISTAKES
from edge.questions.parity.measure import ParityReport
from edge.questions.parity.report import Entry, build_report
from edge.questions.robustness.corruptions import conditions_of
from edge.questions.robustness.figures import FLOAT, figures
from edge.questions.robustness.measure import RobustnessReport, described
from edge.questions.robustness.section import SCHEMA as ROBUSTNESS
from edge.questions.search.measure import SearchReport, Trial, search_report
from edge.questions.training.measure import Judged, TrainingReport, training_report
from edge.questions.zoo.measure import ZooReport
from edge.questions.zoo.section import SCHEMA as ZOO
from edge.report.header import header
from edge.report.question import QuestionReport
from edge.report.strict import plain
from tests.edge._manifests import SHA
from train._summary import summarise

HOSTILE = '<script>alert("1")</script>&$x^2$'
DATA = {"name": "set", "images": 8, "patients": 4, "synthetic": True, "note": "a note"}
REFERENCE = np.random.default_rng(0).dirichlet((0.5, 0.5, 0.5), 8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, -1])
PATIENTS = [str(i // 2) for i in range(8)]


def parity() -> ParityReport:
    seen = Observations(
        image_ids=tuple(f"set/{i}" for i in range(8)),
        groups=tuple(PATIENTS),
        domains=("set",) * 8,
        labels=LABELS,
        class_codes=("A", "B", "C"),
        class_names=("a", "b", "c"),
        malignant=(False, True, None),
        reference=REFERENCE,
    )
    flipped = REFERENCE[:, ::-1]
    result = judge("int8", seen, flipped)
    entry = Entry("net-int8.tflite", SHA, 1000, "tflite", "int8", "xnnpack", result, milliseconds=1.5)
    return ParityReport(build_report("net", SHA, DATA, [entry], seen, [flipped]))


def layers() -> LayersReport:
    row = {
        "op": 3, "kind": "CONV_2D", "name": "conv", "status": "off", "module": "stem", "torch": "conv2d", "seen": "",
        "own_db": 12.0, "least_db": 30.0, "model_db": 11.0, "confirmed": True, "around": [1],
        "file_range": {"low": 0.0, "high": 1.0, "not_finite": 0},
        "torch_range": {"low": 0.0, "high": 2.0, "not_finite": 0},
    }  # fmt: skip
    counts = {"ok": 0, "off": 1, "no counterpart": 0, "moves values": 0}
    facts = {"file": "net-int8.tflite", "recipe": "int8", "format": "tflite", "sha256": SHA, "binding": True}
    file = {**facts, "note": "", "rows": [row], "first": 0, "counts": counts}
    about = header(LAYERS, model="net", checkpoint_sha256=SHA, data=DATA)
    return LayersReport({**about, "traced_apart": 0.0, "files": [file]})


def mistakes() -> MistakesReport:
    cost = compare(Answers(REFERENCE, REFERENCE[:, ::-1]), LABELS, PATIENTS)
    row = {
        "code": "bgr", "name": "BGR instead of RGB", "did": "D.", "mend": "M.", "simulated": "", "images": 8,
        "forms": {"float": cost},
    }  # fmt: skip
    data = {**DATA, "not_square": 2, "turned": 1}
    return MistakesReport(
        {
            **header(MISTAKES, model="net", checkpoint_sha256=SHA, data=data),
            "preprocess": "area-2",
            "files": [{"form": "float", "file": "net-fp32.tflite", "sha256": SHA}],
            "shown": "set/1",
            "mistakes": plain([row]),
        }
    )


def robustness() -> RobustnessReport:
    conditions = conditions_of(["jpeg"], [1, 5])
    answers = np.repeat(REFERENCE[:, None], len(conditions), axis=1)
    found = plain(figures({FLOAT: answers, "int8": answers[:, :, ::-1]}, LABELS, PATIENTS, conditions))
    for file in found["files"]:
        file["file"], file["sha256"] = f"net-{file['name']}.tflite", SHA
    data = {**DATA, "labelled": 7, "pictures_sha256": SHA, "shown": "set/1"}
    return RobustnessReport(
        {
            **header(ROBUSTNESS, model="net", checkpoint_sha256=SHA, data=data),
            "seed": 0,
            "working_side": 512,
            "corruptions": plain([described("jpeg", [1, 5])]),
            "files": found["files"],
        }
    )


def decision() -> DecisionReport:
    share = wilson(1, 8)
    outcomes = dict.fromkeys(OUTCOMES, 1)
    checks = dict.fromkeys(CHECKS, 1)
    curve = risk_coverage(REFERENCE.max(axis=1), np.arange(8) % 2 == 0, PATIENTS, 0.5)
    malignant = dict.fromkeys(
        ("images", "called_malignant", "called_benign", "called_unknown", "called_benign_without_decision", *OUTCOMES),
        1,
    )
    rule = {
        "version": "gate-2", "side": 64, "quality": checks, "abstain_threshold": 0.4, "coverage": 0.9,
        "measured": {
            "quality_from": {"name": "set", "images": 8, "patients": 4},
            "abstain_from": {"name": "set", "images": 8, "patients": 4},
            "alarm_share_per_check": 0.005, "false_alarms": [],
        },
    }  # fmt: skip
    part = {
        "name": "set", "images": 8, "patients": 4, "sent_back": share, "verdict": "inconclusive", "outcomes": outcomes,
        "by_check": checks, "malignant": malignant, "curve": curve,
    }  # fmt: skip
    tried = {"images": 8, "outcomes": outcomes, "sent_back": share, "by_check": checks}
    flags = {"A": False, "B": True, "C": None}
    alarm = {
        "image": "set/1", "set": "set", "reason": "too dark", "failed": ["light"],
        "measurements": Measurements(*range(9)),
    }  # fmt: skip
    return DecisionReport(
        plain(
            {
                **header(DECISION, model="net", checkpoint_sha256=SHA, data=DATA),
                "photographs": "set",
                "synthetic": True,
                "classes": [{"code": code, "name": code, "malignant": flag} for code, flag in flags.items()],
                "decision": rule,
                "alarm_limit": 0.05,
                "sets": [part],
                "worse": [{"what": "blurred", "photographs": "set", **tried}],
                "not_skin": [{"what": "a wall", **tried}],
                "alarms": [alarm],
            }
        )
    )


def matrix() -> MatrixReport:
    file = {
        "file": "theirs.tflite", "sha256": SHA, "bytes": 1_000_000, "format": "tflite", "pixels": "0..255",
        "gives": "probabilities", "classes": 2, "opens_from": "LiteRT / TFLite 2.3", "gate": "pass",
    }  # fmt: skip
    first = {
        "place": 3, "kind": "FULLY_CONNECTED", "output": "head", "version": 5, "version_by_rules": 12,
        "release": "2.17", "weights": "int8, a scale for each of 2 channels", "reads": "float32", "times": 20.0,
        "relative": 0.9, "said": "",
    }  # fmt: skip
    row = {"file": "theirs.tflite", "format": "tflite", "version": "2.3.0", "why": ""}
    counted = {"agreement": 0.5, "largest": 0.4, "limit": 0.01, "times_limit": 40.0, "image": 0}
    operators = {"compared": 4, "left_out": 0, "count": 1, "first": first, "different": [first], "why": ""}
    rows = [
        {**row, "runtime": "xnnpack", "state": "reported"},
        {**row, "runtime": "android", "state": "differs", **counted, "operators": operators},
        {**row, "runtime": "arm64", "state": "not set up", "command": "dermedge setup arm"},
    ]
    pair = {"file": "theirs.onnx", "other": "theirs.tflite", "state": "same", "why": "", **counted, "times_limit": 0.5}
    data = {"name": "set", "images": 8, "synthetic": True, "note": "", "names": ["a.png"]}
    about = header(MATRIX, model="theirs.tflite", data=data)
    return MatrixReport({**about, "files": [file], "rows": rows, "pairs": [pair], "counts": {"same": 0}})


def training() -> TrainingReport:
    labels = (Label("A", "a", malignant=False), Label("B", "b", malignant=True), Label("C", "c", malignant=None))
    photos = tuple(
        Photo(Path(f"{n}.png"), f"{n}.png", "ABC"[n % 3], PATIENTS[n], "set", answers={"age": 30.0 + 20 * (n % 2)})
        for n in range(8)
    )
    logits = np.log(REFERENCE + 1e-9)
    judged = Judged(PhotoSet("set", labels, photos, synthetic=True), logits)
    targets = np.array(judged.targets)
    figures = summarise(targets, PATIENTS, logits, labels)
    history = [
        {"epoch": 1, "side": 32, "loss": 1.0, "seconds": 1.0, "held_back_balanced_accuracy": 0.4},
        {"epoch": 2, "side": 64, "loss": 0.5, "seconds": 1.0},
    ]
    part = {"photographs": 8, "patients": 4}
    own = {
        "name": "set", "licence": "CC0", "synthetic": True, "sha256": SHA, "train": part, "held_back": part,
        "unseen": part,
    }  # fmt: skip
    return training_report(
        judged, np.zeros((8, 16, 16, 3), np.uint8), model="net", checkpoint_sha256=SHA, unseen_sha256=SHA,
        figures=figures, history=history, recipe={"stages": [[32, 1], [64, 1]], "batch": 4, "seed": 0}, sets=[own],
        leaks={"compared": True, "near_copies": 1, "learned": 1},
    )  # fmt: skip


def search() -> SearchReport:
    estimate = {"value": 0.6, "low": 0.5, "high": 0.7}
    figures = {"balanced_accuracy": estimate, "malignant": {"auc": estimate}, "calibration_error": 0.1, "images": 8,
               "patients": 4}  # fmt: skip
    labels = (Label("A", "a", malignant=False), Label("B", "b", malignant=True))
    photos = tuple(Photo(Path(f"{n}.png"), f"{n}.png", "AB"[n % 2], PATIENTS[n], "set") for n in range(8))
    answers = np.array([[0, 1, 0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
    compared = selection(np.arange(8) % 2, answers, PATIENTS, draws=50)
    trials = [
        Trial(0, {"batch": 4}, "finished", figures=figures, precision=("32-true",)),
        Trial(1, {"batch": 8}, "finished", figures=figures, precision=("bf16-mixed",)),
        Trial(2, {"batch": 16}, "failed", "fold 0, exit code 1: too large"),
        Trial(3, {"batch": 32}, "open"),
    ]
    return search_report(trials, compared, PhotoSet("set", labels, photos, synthetic=True), sha256=SHA)


def zoo() -> ZooReport:
    file = {
        "file": "net-fp32.tflite", "format": "tflite", "recipe": "fp32", "bytes": 1_000_000, "ms": 1.0, "ratio": 1.5,
        "sqnr_db": 120.0, "agreement": 1.0, "verdict": "pass", "share_8bit": None, "warnings": ["a warning"],
        "judged_on": {"images": 8, "data": "set", "synthetic": True},
    }  # fmt: skip
    model = {
        "model": "net", "family": "net", "trained": True, "checkpoint_sha256": SHA, "side": 64, "parameters": 1000,
        "macs": 1_000_000, "balanced_accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}, "images": 8, "files": [file],
        "rejected": ["tflite int8"],
    }  # fmt: skip
    about = {"command": "dermedge zoo", "date": "2026-01-01", "machine": "m", "rounds": 3}
    return ZooReport({**header(ZOO), **about, "models": [model]})


def devices() -> DevicesReport:
    image = {"image": "self_test_0.png", "answers": False, "expected": [0.9, 0.1], "obtained": [0.85, 0.15],
             "largest_delta_p": 0.05, "wrong": False}  # fmt: skip
    row = {
        "file": "net-int8.tflite", "model": "Pixel 9", "system": "Android 16", "runtime": "tflite", "version": "2.16.1",
        "accelerator": "cpu", "verdict": "pass", "largest_delta_p": 0.05, "memory_bytes": None, "images": [image],
        "milliseconds": {"load": 90, "first": 12.5, "cold": 102.5, "median": 4.5, "p90": 5.0, "runs": 10}, "report": {},
    }  # fmt: skip
    labels = [{"code": code, "name": code, "malignant": code == "BCC"} for code in ("ACK", "BCC")]
    files = [{"file": row["file"], "sha256": SHA, "recipe": "int8", "bytes": 1_000_000}]
    about = header(DEVICES, model="net", checkpoint_sha256=SHA)
    return DevicesReport({**about, "verdict": "pass", "classes": labels, "files": files, "rows": [row]})


REPORTS: dict[str, Callable[[], QuestionReport]] = {
    "training": training, "search": search, "parity": parity, "devices": devices, "layers": layers,
    "mistakes": mistakes, "robustness": robustness, "decision": decision, "matrix": matrix, "zoo": zoo,
}  # fmt: skip


def example(name: str, **changes: Any) -> QuestionReport:
    """The report of a question, with these keys changed."""
    report = REPORTS[name]()
    return type(report)({**report.report, **changes}, report.pictures)


def put(folder: Path, name: str, **changes: Any) -> None:
    """Its JSON alone, as it may have come from anywhere."""
    write_json(folder / f"{name}.json", example(name, **changes).report)
