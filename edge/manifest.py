"""The manifest: everything an app has to know of an exported model, as typed facts and as JSON.

`manifest.schema.json` states the JSON form, `dermedge/manifest/3`, and is checked on reading and on writing. Files of
`dermedge/manifest/1` and `/2` are read and raised.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from edge.errors import InputError
from edge.labels import Label, from_json, to_json
from edge.questionnaire import Question, contradiction, length_of, parsed_question, question_json

SCHEMA = "dermedge/manifest/3"
FIRST, SECOND = "dermedge/manifest/1", "dermedge/manifest/2"  # are raised
SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")

INTENDED_USE = (
    "Research and engineering: showing that an exported skin-lesion model gives the answers of the trained one. "
    "Not a medical device; not for diagnosis, triage or reassurance."
)
RESIZE = "mean over the area of each pixel, both ways, in whole numbers, half up (docs/preprocess.md)"
EXACT = 2**53  # whole numbers up to here are exact in every language that reads a manifest
# What a file carries inside, where its format has a place for it; in this order.
INSIDE = ("model", "checkpoint_sha256", "labels", "input", "preprocess", "output", "mask", "training", "intended_use")
INSIDE_WITH_ANSWERS = ("answers", "questions", "log_odds")  # of a file with the second input, too
ANSWERS_MEANING = "docs/answers.md: what was answered, filled in by `questions`; all 0 where nothing was"


@dataclass(frozen=True)
class Reference:
    """The float network that the files are judged against."""

    kind: str  # "checkpoint": weights of a model that dermedge knows; "program": an exported program in the folder
    sha256: str  # of the weights or of the program
    file: str | None = None  # of a program: its name in the folder


@dataclass(frozen=True)
class Output:
    """The probabilities: softmax of logits / temperature, in the order of the labels."""

    meaning: str
    temperature: float
    abstain_threshold: float | None = None  # of the largest probability, 0..1; None: not measured


@dataclass(frozen=True)
class Mask:
    """The second output of a network that also finds the lesion."""

    meaning: str
    side: int  # pixels
    threshold: float  # a pixel is lesion from here on


@dataclass(frozen=True)
class Run:
    """Where a file was run: to be right, or to be slow."""

    runtime: str
    version: str
    processor: str


@dataclass(frozen=True)
class MaskParity:
    """Medians over images against the float model's masks; None where no image had one."""

    dice_median: float | None
    iou_median: float | None
    boundary_px_median: float | None


@dataclass(frozen=True)
class AnsweredParity:
    """The same of one case of a file with the second input."""

    answered: str  # "none", "some" or "all" of the questions
    verdict: str
    sqnr_db_median: float | None  # None: equal
    agreement: float
    largest_delta_p: float


@dataclass(frozen=True)
class Parity:
    """What the comparison right after conversion gave."""

    runtime: str
    images: int
    data: str
    synthetic: bool
    verdict: str  # pass, fail, inconclusive or reported
    binding: bool  # whether a failed verdict rejects the file
    sqnr_db_median: float | None  # None: equal
    agreement: float  # share of the images with the same class
    largest_delta_p: float
    masks: MaskParity | None = None
    patients: int | None = None  # None: not counted
    views: int | None = None  # of each photograph; None: the photograph alone
    by_answers: tuple[AnsweredParity, ...] = ()  # of a file with the second input; the rest is of the worst of them


@dataclass(frozen=True)
class HalfRanges:
    """What float16 has to hold, measured on the float32 program."""

    largest_activation: float
    largest_activation_at: str
    kept_float32: int  # operations
    subnormal: float  # largest share of an operation's numbers, 0..1
    lost: float


@dataclass(frozen=True)
class Audit:
    """What a file is made of, and the rules of phones' runtimes that it breaks."""

    operators: Mapping[str, int]
    largest_rank: int
    layout_operators: int
    layout_bytes: int
    macs: int
    macs_8bit: int  # on 8-bit activations
    peak_activation_bytes: int
    macs_weights: int | None = None  # of layers with weights; the rest are products of two activations
    xnnpack_partitions: int | None = None  # .tflite
    float16: HalfRanges | None = None  # .mlpackage
    warnings: tuple[str, ...] = ()

    @property
    def share_8bit(self) -> float | None:
        """Of the multiply-accumulates of layers with weights, those on 8-bit activations, 0..1; None: not counted.

        Products of two activations, as in attention, are left out: runtimes have no 8-bit form of them.
        """
        if self.macs_weights is None:
            return None
        return min(1.0, self.macs_8bit / max(1, self.macs_weights))


@dataclass(frozen=True)
class FineTuned:
    """Of a palette: what the network learned from, and median SQNR in dB on training patients held back."""

    images: int
    epochs: int
    sqnr_db_before: float
    sqnr_db_after: float
    kept: bool


@dataclass(frozen=True)
class FileEntry:
    """One exported file, or a folder such as an .mlpackage."""

    file: str
    format: str  # "tflite", "mlpackage", "aimodel" or "onnx"
    recipe: str
    purpose: str  # what part of a phone it is for; `for` in the JSON
    sha256: str
    bytes: int
    layout: str  # of the input: "NHWC" or "image"
    dtype: str  # of the input: "float32" or "uint8"
    opens_from: str  # the oldest runtime or system that opens it
    parity: Parity | None  # None: could not be run on the converting machine
    answers: bool = False  # has the second input `answers`
    audit: Audit | None = None
    fine_tuned: FineTuned | None = None
    output_dtype: str = "float32"
    output_scale: float | None = None  # of an output in whole numbers: (number - zero point) * scale
    output_zero_point: int | None = None
    seen_right: tuple[Run, ...] = ()
    seen_slow: tuple[Run, ...] = ()

    @property
    def binding(self) -> bool:
        """Whether a failed gate rejects the file."""
        return self.parity is None or self.parity.binding


@dataclass(frozen=True)
class SelfTest:
    """An image with the probabilities that each file gives on the converting machine."""

    image: str  # file name of a PNG
    sha256: str  # of the file
    rgb_sha256: str  # of its pixels
    reference: tuple[float, ...]  # probabilities of the float model
    expected: Mapping[str, tuple[float, ...]]  # file -> probabilities
    reference_mask: float | None = None  # mean over the pixels of the float model's mask
    expected_mask: Mapping[str, float] | None = None
    answers: tuple[float, ...] | None = None  # what the second input was given


@dataclass(frozen=True)
class Untrained:
    """Where random weights come from; their answers mean nothing."""

    seed: int
    settled_on: str


@dataclass(frozen=True)
class Training:
    data: tuple[Mapping[str, Any], ...]  # a summary of each set
    attribution: str
    untrained: Untrained | None = None


@dataclass(frozen=True)
class Manifest:
    model: str
    family: str
    checkpoint_sha256: str
    reference: Reference
    parameters: int
    macs: int  # multiply-accumulates of one forward pass
    labels: tuple[Label, ...]  # in output order
    side: int  # of the input, pixels
    preprocess: str  # version of crop and resize
    output: Output
    training: Training
    versions: Mapping[str, str]
    files: tuple[FileEntry, ...] = ()
    self_test: tuple[SelfTest, ...] = ()
    mask: Mask | None = None
    questions: tuple[Question, ...] = ()
    # (K, Q): what a 1 in each place of `answers` adds to the logarithm of a class's odds; None: no file takes answers
    log_odds: tuple[tuple[float, ...], ...] | None = None
    decision: Mapping[str, Any] | None = None  # thresholds, as docs/decision.md has them; None: not measured
    intended_use: str = INTENDED_USE
    resize: str = RESIZE

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes in output order."""
        return tuple(label.code for label in self.labels)

    @property
    def of_pictures(self) -> tuple[FileEntry, ...]:
        """The files that take a picture alone."""
        return tuple(entry for entry in self.files if not entry.answers)

    def entry(self, name: str) -> FileEntry | None:
        """The entry of a file name."""
        return next((entry for entry in self.files if entry.file == name), None)

    def with_files(self, entries: list[FileEntry]) -> Manifest:
        """The manifest with these entries added; an entry of the same file is replaced."""
        new = {entry.file for entry in entries}
        kept = [entry for entry in self.files if entry.file not in new]
        return replace(self, files=tuple(sorted([*kept, *entries], key=lambda entry: entry.file)))

    def facts_inside(self, *, answers: bool = False) -> dict[str, Any]:
        """What files carry inside, as JSON values; with `answers` those of a file with the second input."""
        facts = to_json_value(self)
        second = {"name": "answers", "dtype": "float32", "shape": [1, length_of(self.questions)]}
        facts["answers"] = second | {"meaning": ANSWERS_MEANING}
        return {key: facts[key] for key in INSIDE + (INSIDE_WITH_ANSWERS if answers else ()) if key in facts}


def without_none(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def to_json_value(manifest: Manifest) -> dict[str, Any]:
    """The manifest as `manifest.schema.json` states it."""
    m = manifest
    return {
        "schema": SCHEMA,
        "model": m.model,
        "family": m.family,
        "checkpoint_sha256": m.checkpoint_sha256,
        "reference": {"kind": m.reference.kind, "file": m.reference.file, "sha256": m.reference.sha256},
        "parameters": m.parameters,
        "macs": m.macs,
        "labels": to_json(m.labels),
        "input": {"name": "image", "side": m.side, "colour": "RGB", "range": [0, 255]},
        "preprocess": {"version": m.preprocess, "crop": "centred square", "resize": m.resize},
        "output": {
            "name": "probabilities",
            "meaning": m.output.meaning,
            "temperature": m.output.temperature,
            "abstain_threshold": m.output.abstain_threshold,
        },
        **({"mask": {"name": "mask", **vars(m.mask)}} if m.mask else {}),
        "questions": [question_json(question) for question in m.questions],
        **({} if m.log_odds is None else {"log_odds": [list(row) for row in m.log_odds]}),
        "files": [file_json(entry) for entry in m.files],
        "self_test": [self_test_json(entry) for entry in m.self_test],
        "training": {
            "data": [dict(part) for part in m.training.data],
            "attribution": m.training.attribution,
            **without_none(untrained=m.training.untrained and vars(m.training.untrained)),
        },
        "intended_use": m.intended_use,
        "versions": dict(m.versions),
        **({"decision": dict(m.decision)} if m.decision else {}),
    }


def file_json(entry: FileEntry) -> dict[str, Any]:
    return {
        "file": entry.file,
        "format": entry.format,
        "recipe": entry.recipe,
        "for": entry.purpose,
        "sha256": entry.sha256,
        "bytes": entry.bytes,
        "input": {"layout": entry.layout, "dtype": entry.dtype},
        "output": {
            "dtype": entry.output_dtype,
            **without_none(scale=entry.output_scale, zero_point=entry.output_zero_point),
        },
        "answers": entry.answers,
        "opens_from": entry.opens_from,
        "seen_right": [vars(run) for run in entry.seen_right],
        "seen_slow": [vars(run) for run in entry.seen_slow],
        "parity": entry.parity and parity_json(entry.parity),
        **({"audit": audit_json(entry.audit)} if entry.audit else {}),
        **({"fine_tuned": vars(entry.fine_tuned)} if entry.fine_tuned else {}),
    }


def parity_json(parity: Parity) -> dict[str, Any]:
    optional = {"masks", "patients", "views", "by_answers"}
    facts = {key: value for key, value in vars(parity).items() if key not in optional}
    return facts | without_none(
        masks=parity.masks and vars(parity.masks),
        patients=parity.patients,
        views=parity.views,
        by_answers=[vars(case) for case in parity.by_answers] or None,
    )


def audit_json(audit: Audit) -> dict[str, Any]:
    facts = {**vars(audit), "operators": dict(audit.operators), "warnings": list(audit.warnings)}
    return without_none(**facts | {"float16": audit.float16 and vars(audit.float16)})


def self_test_json(entry: SelfTest) -> dict[str, Any]:
    return {
        "image": entry.image,
        "sha256": entry.sha256,
        "rgb_sha256": entry.rgb_sha256,
        "reference": list(entry.reference),
        "expected": {name: list(values) for name, values in entry.expected.items()},
        **without_none(
            reference_mask=entry.reference_mask,
            expected_mask=None if entry.expected_mask is None else dict(entry.expected_mask),
            answers=None if entry.answers is None else list(entry.answers),
        ),
    }


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of the manifest."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def first_fault(value: object, rule: Mapping[str, Any]) -> tuple[list[str], str] | None:
    """Place and words of the first thing in a JSON value that does not fit a rule of the schema; None if all fits.

    Numbers have to be those that every language reads: finite, and whole ones within 2^53 written without a point.
    """
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def whole(_checker: object, instance: object) -> bool:
        return isinstance(instance, int) and not isinstance(instance, bool) and abs(instance) <= EXACT

    def number(checker: object, instance: object) -> bool:
        return whole(checker, instance) or (isinstance(instance, float) and math.isfinite(instance))

    def pattern(_validator: object, expected: str, instance: object, _rule: object) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not re.fullmatch(
            expected.rstrip("$"), instance
        ):  # `$` takes a line's end, too
            yield ValidationError(f"{instance!r} does not match {expected!r}")

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": whole, "number": number})
    try:
        checked = extend(Draft202012Validator, {"pattern": pattern}, type_checker=types)
        errors = checked(rule).iter_errors(value)
        error = next(iter(sorted(errors, key=lambda error: list(error.path))), None)
        return None if error is None else ([str(part) for part in error.absolute_path], error.message[:300])
    except RecursionError:
        return [], "it is nested too deeply"


def from_json_value(value: object, *, where: str) -> Manifest:
    """The manifest in a JSON value of /1 to /3; InputError that names `where` and the first field that does not fit."""
    value = raised(value)
    fault = first_fault(value, schema())
    if fault is not None:
        raise InputError(
            f"{where}: {'/'.join(fault[0]) or 'the whole file'}: {fault[1]}; expected schema {SCHEMA}. If another "
            "version of dermedge wrote it, convert again into a folder of another name, or delete this one first"
        )
    assert isinstance(value, dict)
    check_consistent(value, where)
    return parsed(value, where)


def check_consistent(value: dict[str, Any], where: str) -> None:
    """InputError for a value that fits the schema and contradicts itself."""
    names = [entry["file"] for entry in value["files"]]
    if len(set(names)) != len(names):
        raise InputError(f"{where}: a file is described twice")
    decision = value.get("decision")
    if decision and decision["abstain_threshold"] != value["output"]["abstain_threshold"]:
        raise InputError(f"{where}: output and decision name different abstain thresholds; convert again")
    if decision and (wrong := contradiction_by_answers(decision, len(value["questions"]))):
        raise InputError(f"{where}: decision: by_answers {wrong}; convert again")
    if decision and decision["side"] != value["input"]["side"]:
        raise InputError(f"{where}: the limits of decision hold for another side than the input's; convert again")
    if "mask" in value and value["mask"]["side"] != value["input"]["side"]:
        raise InputError(f"{where}: mask: its side is not the input's, and its pixels are; convert again")
    if (value["reference"]["kind"] == "program") != (value["reference"]["file"] is not None):
        raise InputError(f"{where}: reference: only a program has a file in this folder; convert again")
    questions = questions_of(value["questions"], where=where)
    if any(entry["answers"] for entry in value["files"]) and not questions:
        raise InputError(f"{where}: a file takes answers, and no question is described; convert again")
    classes = len(value["labels"])
    rows = value.get("log_odds")
    if (rows is not None) and (len(rows) != classes or any(len(row) != length_of(questions) for row in rows)):
        raise InputError(f"{where}: log_odds are not {classes} x {length_of(questions)} numbers; convert again")
    for tested in value["self_test"]:
        if any(len(answer) != classes for answer in (tested["reference"], *tested["expected"].values())):
            raise InputError(f"{where}: self_test: not every answer has {classes} classes; convert again")
        if tested.get("answers") is not None and len(tested["answers"]) != length_of(questions):
            raise InputError(f"{where}: self_test: answers are not {length_of(questions)} numbers; convert again")


def contradiction_by_answers(decision: Mapping[str, Any], questions: int) -> str | None:
    """What is wrong with a decision's thresholds by the number of answers, in words; None where nothing is."""
    entries = decision.get("by_answers", [])
    starts = [entry["from"] for entry in entries]
    if starts != sorted(set(starts)) or len({entry["answered"] for entry in entries}) != len(entries):
        return f"begin at {starts} answers, expected in ascending order and each case once"
    if starts and starts[-1] > questions:
        return f"begin at {starts[-1]} answers, and there are {questions} questions"
    if any(("malignant_threshold" in entry) != ("malignant_threshold" in decision) for entry in entries):
        return "and the whole do not all have a malignant_threshold, or all none"
    return None


def questions_of(value: object, *, where: str) -> tuple[Question, ...]:
    """The questions in a JSON list, also that of a checkpoint; InputError that names `where` and what does not fit."""
    rule = {"$defs": schema()["$defs"], **schema()["properties"]["questions"]}
    fault = first_fault(value, rule)
    if fault is not None:
        raise InputError(f"{where}: {'/'.join(['questions', *fault[0]])}: {fault[1]}; expected as in {SCHEMA}")
    assert isinstance(value, list)
    questions = tuple(parsed_question(question) for question in value)
    if wrong := contradiction(questions):
        raise InputError(f"{where}: {wrong}; docs/answers.md says how the places of `answers` are filled")
    return questions


def raised(value: object) -> object:
    """A manifest of /1 or /2 in the form of /3; anything else as it is. All that /2 can say, /3 says with its words."""
    if not isinstance(value, dict) or value.get("schema") not in (FIRST, SECOND):
        return value
    if value["schema"] == SECOND:
        return {**value, "schema": SCHEMA}
    files = value.get("files")
    if isinstance(files, list):
        files = [raised_file(entry) if isinstance(entry, dict) else entry for entry in files]
    return {
        **value,
        "schema": SCHEMA,
        "reference": {"kind": "checkpoint", "file": None, "sha256": value.get("checkpoint_sha256")},
        "questions": [],
        "files": files,
    }


def raised_file(entry: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in entry.items() if key != "minimum_runtime"}
    return {
        **rest,
        "output": {"dtype": "float32"},
        "answers": False,
        "opens_from": entry.get("minimum_runtime"),
        "seen_right": [],
        "seen_slow": [],
    }


def parsed(value: dict[str, Any], where: str) -> Manifest:
    """From a value that fits the schema."""
    output, mask, training = value["output"], value.get("mask"), value["training"]
    untrained = training.get("untrained")
    return Manifest(
        model=value["model"],
        family=value["family"],
        checkpoint_sha256=value["checkpoint_sha256"],
        reference=Reference(**value["reference"]),
        parameters=value["parameters"],
        macs=value["macs"],
        labels=from_json(value["labels"], where=where),
        side=value["input"]["side"],
        preprocess=value["preprocess"]["version"],
        output=Output(output["meaning"], output["temperature"], output["abstain_threshold"]),
        training=Training(tuple(training["data"]), training["attribution"], untrained and Untrained(**untrained)),
        versions=value["versions"],
        files=tuple(parsed_file(entry) for entry in value["files"]),
        self_test=tuple(parsed_self_test(entry) for entry in value["self_test"]),
        mask=mask and Mask(mask["meaning"], mask["side"], mask["threshold"]),
        questions=questions_of(value["questions"], where=where),
        log_odds=None if value.get("log_odds") is None else tuple(map(tuple, value["log_odds"])),
        decision=value.get("decision"),
        intended_use=value["intended_use"],
        resize=value["preprocess"]["resize"],
    )


def parsed_file(value: dict[str, Any]) -> FileEntry:
    parity, audit, output = value["parity"], value.get("audit"), value["output"]
    return FileEntry(
        file=value["file"],
        format=value["format"],
        recipe=value["recipe"],
        purpose=value["for"],
        sha256=value["sha256"],
        bytes=value["bytes"],
        layout=value["input"]["layout"],
        dtype=value["input"]["dtype"],
        opens_from=value["opens_from"],
        parity=parity and parsed_parity(parity),
        answers=value["answers"],
        audit=audit and parsed_audit(audit),
        fine_tuned=value.get("fine_tuned") and FineTuned(**value["fine_tuned"]),
        output_dtype=output["dtype"],
        output_scale=output.get("scale"),
        output_zero_point=output.get("zero_point"),
        seen_right=tuple(Run(**run) for run in value["seen_right"]),
        seen_slow=tuple(Run(**run) for run in value["seen_slow"]),
    )


def parsed_parity(value: dict[str, Any]) -> Parity:
    masks = value.get("masks")
    cases = tuple(AnsweredParity(**case) for case in value.get("by_answers", ()))
    return Parity(**{**value, "masks": masks and MaskParity(**masks), "by_answers": cases})


def parsed_audit(value: dict[str, Any]) -> Audit:
    half = value.get("float16")
    return Audit(**{**value, "warnings": tuple(value["warnings"]), "float16": half and HalfRanges(**half)})


def parsed_self_test(value: dict[str, Any]) -> SelfTest:
    return SelfTest(**{
        **value,
        "reference": tuple(value["reference"]),
        "expected": {name: tuple(values) for name, values in value["expected"].items()},
        "answers": None if value.get("answers") is None else tuple(value["answers"]),
    })  # fmt: skip
