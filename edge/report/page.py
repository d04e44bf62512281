"""The one report of a folder: report.html, a page that needs nothing else, made of all questions' JSON that is there.

The page holds no state. Whoever has the folder can render it again, without the model: the JSON of each question and
its pictures are all that it is made of. They may have come from anywhere, so what is damaged, too large or of other
files than the rest is left out, with a note.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edge import artifact
from edge.errors import InputError, install
from edge.files import read_json, remove, scratch_in, sha256, write_text
from edge.files import replace as move
from edge.locks import alone_in
from edge.report import pictures as kept_pictures
from edge.report.header import NOTICE
from edge.report.template import template

log = logging.getLogger("dermedge")

PAGE = "report.html"
# Question -> the module that shows its JSON: SCHEMA, TITLE and `section(report, pictures)`. In the order of the page.
QUESTIONS = {
    "training": "edge.questions.training.section",
    "search": "edge.questions.search.section",
    "parity": "edge.questions.parity.section",
    "devices": "edge.questions.devices.section",
    "layers": "edge.questions.layers.section",
    "mistakes": "edge.questions.mistakes.section",
    "robustness": "edge.questions.robustness.section",
    "decision": "edge.questions.decision.section",
    "matrix": "edge.questions.matrix.section",
    "zoo": "edge.questions.zoo.section",
}
MOST_ITEMS = 20_000  # of a list in a report, or keys of an object
MOST_ROWS = 300  # of those lists that a plot or a section of the page is made for
ROWS = {"files", "rows", "pairs", "mistakes", "sets", "corruptions", "models"}
MOST_DEPTH = 24


@dataclass(frozen=True)
class Belongs:
    """What a report tells of: a checkpoint, and the files it looked at."""

    checkpoint_sha256: str | None  # None: of several, as the zoo
    files: Mapping[str, str]  # file name -> SHA-256

    def agrees(self, other: Belongs) -> bool:
        """Whether both may stand on one page: one checkpoint, and no file of one name but other contents."""
        digests = {self.checkpoint_sha256, other.checkpoint_sha256} - {None}
        shared = self.files.keys() & other.files.keys()
        return len(digests) < 2 and all(self.files[name] == other.files[name] for name in shared)


@dataclass(frozen=True)
class Part:
    """One question of a folder, read."""

    name: str
    report: dict[str, Any]
    body: str  # HTML
    belongs: Belongs


def render(folder: str | Path) -> Path:
    """Make report.html from the questions' JSON in `folder`; returns the page.

    A question's JSON that is damaged, of another schema, too large, or of another checkpoint or other files than
    manifest.json or the newest question tells of, is left out, and the log says so. InputError if none is left, or if
    the page cannot be written.
    """
    folder = Path(folder)
    parts = agreeing(parts_in(folder), of_manifest(folder))
    if not parts:
        raise InputError(f"{folder} holds no report of its files; ask a question first, such as `dermedge parity`")
    write_text(folder / PAGE, whole(parts))
    return folder / PAGE


def write_question(
    folder: Path, name: str, report: dict[str, Any], pictures: Mapping[str, str], others: Mapping[str, str]
) -> Path:
    """Write one question's JSON, its pictures and the files beside it, and the page with it; returns the page.

    All is made before the first is moved into place. InputError where the folder is of another checkpoint.
    """
    part = Part(name, report, module_of(name).section(report, pictures), belongs(report))
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    files = {folder / f"{name}.json": text} | {folder / other: content for other, content in others.items()}
    beside = kept_pictures.path_of(folder, name)
    if pictures:
        files[beside] = json.dumps(kept_pictures.to_json_value(pictures, digest)) + "\n"
    with alone_in(folder):  # the page is made of all sections that are there
        check_folder(folder, part.belongs)
        say_what_is_lost(folder, name, report)
        files[folder / PAGE] = whole(agreeing([part, *parts_in(folder, but=name)], of_manifest(folder)))
        write_all(folder, files)
        if not pictures:
            remove(beside)
    return folder / PAGE


def say_what_is_lost(folder: Path, name: str, report: Mapping[str, Any]) -> None:
    """Log that a report replaces one of more photographs, files or conditions."""
    path = folder / f"{name}.json"
    try:
        before = counted(read_json(path, expected="a report"))
    except (InputError, TypeError, AttributeError):
        return  # none, or a damaged one
    now = counted(report)
    less = [f"{before[what]} {what}, now {now[what]}" for what in now if now[what] < before.get(what, 0)]
    if less:
        log.warning("%s is replaced by a report of less: %s", path, "; ".join(less))


def counted(report: Mapping[str, Any]) -> dict[str, int]:
    """How much a report tells of."""
    data = report.get("data") or {}
    parts = {"files": report.get("files"), "kinds of bad photographs": report.get("corruptions")}
    counts = {what: len(listed) for what, listed in parts.items() if isinstance(listed, list)}
    return counts | ({"photographs": data["images"]} if isinstance(data.get("images"), int) else {})


def write_all(folder: Path, files: Mapping[Path, str]) -> None:
    """Write all of them under other names first, so that a full disk leaves every old one as it was."""
    with scratch_in(folder) as work:
        for number, text in enumerate(files.values()):
            (work / str(number)).write_text(text, encoding="utf-8")
        for number, target in enumerate(files):
            target.parent.mkdir(exist_ok=True)
            move(work / str(number), target)


def check_folder(folder: Path, report: Belongs) -> None:
    """InputError if `folder` holds exported files that a report does not tell of: the folder's own would be gone."""
    own = of_manifest(folder)
    if own is not None and not own.agrees(report):
        same = own.checkpoint_sha256 == report.checkpoint_sha256
        raise InputError(
            f"{folder} holds files of another {'conversion' if same else 'checkpoint'} "
            f"(checkpoint {own.checkpoint_sha256}) than the report (checkpoint {report.checkpoint_sha256}); "
            "give another folder with `out`, or that checkpoint with `checkpoint`"
        )


def module_of(name: str) -> Any:
    return import_module(QUESTIONS[name])


def parts_in(folder: Path, *, but: str | None = None) -> list[Part]:
    """The questions that the folder has an answer to, the newest first."""
    times = {}
    for name in QUESTIONS:
        path = folder / f"{name}.json"
        if name != but and path.is_file():
            times[name] = path.stat().st_mtime_ns
    newest_first = sorted(times, key=lambda name: -times[name])
    return [part for name in newest_first if (part := read_part(folder, name))]


def read_part(folder: Path, name: str) -> Part | None:
    """The section of one question's JSON; None, with a note, if it cannot be shown."""
    path, module = folder / f"{name}.json", module_of(name)
    left_out = f"{path} is left out of the page"
    try:
        report = read_json(path, expected=f"a report of {name} ({module.SCHEMA})")
        digest = sha256(path)
    except (InputError, OSError) as error:
        log.warning("%s: %s", left_out, error)
        return None
    if report.get("schema") != module.SCHEMA:
        log.warning("%s: expected schema %s, got %.80r", left_out, module.SCHEMA, report.get("schema"))
        return None
    if not modest(report):
        log.warning("%s: it is too large, or too deep, to be a report", left_out)
        return None
    try:
        about = belongs(report)
        json.dumps(report, ensure_ascii=False).encode("utf-8")  # half a character cannot be written
        return Part(name, report, module.section(report, kept_pictures.read(folder, name, digest)), about)
    except ModuleNotFoundError as error:
        log.warning("%s: showing it needs %s: %s", left_out, error.name, install("report"))
    except Exception as error:  # a foreign report of the right schema may lack anything and hold anything
        log.warning("%s: it is damaged (%s: %.200s)", left_out, type(error).__name__, error)
    return None


def modest(value: Any, depth: int = 0, key: str = "") -> bool:
    """Whether a JSON value is of a size that a page can be made of."""
    if isinstance(value, dict):
        items = [modest(item, depth + 1, name) for name, item in value.items()]
        return depth < MOST_DEPTH and len(value) <= MOST_ITEMS and all(items)
    if isinstance(value, list):
        most = MOST_ROWS if key in ROWS and depth == 1 else MOST_ITEMS
        return depth < MOST_DEPTH and len(value) <= most and all(modest(item, depth + 1) for item in value)
    return True


def belongs(report: Mapping[str, Any]) -> Belongs:
    """What a report tells of; entries of its `files` without a digest (the float model itself) do not count.

    ValueError if it is no text.
    """
    files = {entry["file"]: entry["sha256"] for entry in report.get("files", ()) if entry.get("sha256")}
    checkpoint = report.get("checkpoint_sha256")
    texts = [*files, *files.values(), *([] if checkpoint is None else [checkpoint])]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("names of files and digests are text")
    return Belongs(checkpoint, files)


def of_manifest(folder: Path) -> Belongs | None:
    """What the manifest of the folder tells of; None without one, with a note where it is damaged."""
    if not (folder / artifact.MANIFEST).is_file():
        return None
    try:
        manifest = artifact.read(folder)
    except InputError as error:
        log.warning("the page does not heed the manifest: %s", error)
        return None
    return Belongs(manifest.checkpoint_sha256, {entry.file: entry.sha256 for entry in manifest.files})


def agreeing(parts: Iterable[Part], manifest: Belongs | None) -> list[Part]:
    """Those that tell of the files of the manifest and of one another; of two that do not agree the first stays."""
    known = [] if manifest is None else [manifest]
    kept = []
    for part in parts:
        if all(part.belongs.agrees(other) for other in known):
            known.append(part.belongs)
            kept.append(part)
        else:
            log.warning("%s.json tells of other files and is left out of the page; make it again", part.name)
    return kept


def shows_patients(report: Mapping[str, Any]) -> bool:
    """Whether a report is of photographs, whose names and pictures it shows, rather than of drawings."""
    data = report.get("data")
    return isinstance(data, dict) and data.get("synthetic") is not True


def whole(parts: list[Part]) -> str:
    """The page of these sections, in the order of QUESTIONS."""
    models = [part.report["model"] for part in parts if "model" in part.report]
    checkpoints = [part.belongs.checkpoint_sha256 for part in parts if part.belongs.checkpoint_sha256]
    order = list(QUESTIONS)
    shown = sorted(parts, key=lambda part: order.index(part.name))
    return template("edge.report", "report.html.j2").render(
        model=models[0] if models else None,
        checkpoint=checkpoints[0] if checkpoints else None,
        of_several="A search over training recipes" if shown[0].name == "search" else "Every model by every recipe",
        on_a_phone=any(part.name not in {"training", "search"} for part in parts),
        notice=NOTICE,
        of_patients=any(shows_patients(part.report) for part in parts),
        sections=[(part.name, module_of(part.name).TITLE, part.body) for part in shown],
    )
