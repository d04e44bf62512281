"""Run files of anybody's on every runtime that there is here, and say where the answer is another one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edge import artifact
from edge.data.selection import Photographs
from edge.errors import InputError, at_least_one
from edge.files import sha256
from edge.files import size as size_of
from edge.phones import NotSetUp
from edge.progress import Listener, busy, listening
from edge.questions.matrix import tables
from edge.questions.matrix.against import Against
from edge.questions.matrix.compare import DIFFERS, NOT_SET_UP, REFUSED, REPORTED, SAME, compared
from edge.questions.matrix.limits import limits_of
from edge.questions.matrix.pictures import Pictures, photographs_in, pictures_in
from edge.questions.matrix.pictures import read as read_pictures
from edge.questions.matrix.rounding import FLOAT16_UNIT, FLOAT32_UNIT
from edge.questions.matrix.section import SCHEMA
from edge.questions.matrix.ways import ways
from edge.report.header import header
from edge.report.question import QuestionReport
from edge.report.strict import plain
from edge.runtimes import Refused
from edge.runtimes.coreai import MODE, missing
from edge.runtimes.foreign import Foreign, probabilities_of
from edge.runtimes.foreign import tflite as tflite_files
from edge.runtimes.litert import check_mode, on_phone
from edge.runtimes.phone import choice_of
from edge.tflite.opens_from import opens_from

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger("dermedge")

FORMATS = {".tflite": "tflite", ".mlpackage": "mlpackage", ".onnx": "onnx", ".aimodel": "aimodel"}
IMAGES = 8  # on an emulated processor each takes a second


@dataclass(frozen=True, repr=False)
class MatrixReport(QuestionReport):
    """Where each file opens, and whether it gives one answer everywhere."""

    name: ClassVar[str] = "matrix"

    @property
    def verdict(self) -> str:
        """fail where an answer differs by more than rounding explains, else pass."""
        return "fail" if self.failed else "pass"

    def failing(self, *, strict: bool = False) -> list[str]:
        """Files with the runtime, or the other file, where the answer is another one."""
        rows = [row for row in (*self.report["rows"], *self.report["pairs"]) if row["state"] == DIFFERS]
        return [f"{row['file']} {'on ' + row['runtime'] if 'runtime' in row else '≠ ' + row['other']}" for row in rows]

    def tables(self) -> list[Table | str]:
        return tables.all_of(self.report)


@dataclass(frozen=True)
class Subject:
    """One file: how it is opened where phones run it, and what it says there."""

    path: Path
    name: str  # of its file, with that of its folder where two networks have a file of one name
    form: str
    contents: tflite_files.Contents | None  # of a .tflite
    mode: str
    numbers: np.ndarray  # (N, K), as probabilities_of gives them
    gives: str
    pixels: str
    rounds: bool | None  # in half precision; None: in a way of which no limit is derived


def measure(
    networks: Sequence[Sequence[Path]],
    images: Path | None = None,
    *,
    photos: Photographs = None,
    checkpoints: Sequence[Path] = (),
    pixels: str | None = None,
    modes: Sequence[str] | None = None,
    count: int = IMAGES,
    threads: int = 1,
    on_progress: Listener | None = None,
) -> MatrixReport:
    """Files of networks, each on every runtime for its format, and each against the first of its network.

    `images`: a folder with pictures; None: the photographs at hand. `photos`: data sets in its place, without anybody
    whom the networks saw, as far as that is known. `checkpoints`: where that is read, of networks of dermedge that are
    neither shipped nor beside their files. `pixels`: what a float input expects, a key of
    `edge.runtimes.foreign.PIXELS`, where the file does not say it. `modes`: runtimes of .tflite files, as
    docs/phones.md names them; None: all. InputError for files that are not an image in and a vector out, or not of
    one shape in a network, and for a runtime that there is not.
    """
    at_least_one(count=count, threads=threads)
    if images is not None and photos is not None:
        raise InputError("give `images`, any folder with pictures, or `photos`, data sets; both were given")
    if checkpoints and photos is None:
        raise InputError("`checkpoint` says whom to leave out of `photos`, data sets; give both, or neither")
    files_of_all = [path for files in networks for path in files]
    check_files(files_of_all)
    names = names_of(files_of_all)
    check_modes(modes or ())
    subjects: list[Subject] = []
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    with listening(on_progress):
        beside = [path.parent for path in files_of_all]
        chosen = pictures_in(images, count) if photos is None else photographs_in(photos, count, beside, checkpoints)
        for files in networks:
            own, squares = subjects_of(files, names, chosen, pixels, threads)
            subjects += own
            rows += [row for subject in own for row in rows_of(subject, squares, list(modes or ways()), threads)]
            pairs += [pair_of(own[0], subject, squares) for subject in own[1:]]
    return MatrixReport(report_of(subjects, rows, pairs, chosen))


def subjects_of(
    files: Sequence[Path], names: Mapping[Path, str], chosen: Pictures, pixels: str | None, threads: int
) -> tuple[list[Subject], np.ndarray]:
    """The files of one network, and the pictures in the size that it takes, uint8 (N, H, W, 3)."""
    subjects: list[Subject] = []
    squares: np.ndarray | None = None
    for path in files:
        with busy(f"opening {path.name}"):
            opened, mode, contents = open_first(path, pixels, threads)
        try:
            takes = opened.pixels
            if squares is None:
                squares = read_pictures(chosen, takes.height, takes.width)
            check_shape(path, (takes.height, takes.width), opened.classes, squares, subjects)
            vectors, mode = first_answers(opened, mode, contents, squares, threads)
            numbers, gives = probabilities_of(vectors)
            rounds = halves(opened)
        finally:
            opened.close()
        subjects.append(
            Subject(path, names[path], FORMATS[path.suffix], contents, mode, numbers, gives, takes.source, rounds)
        )
    assert squares is not None
    return subjects, squares


def networks_in(paths: Sequence[Path]) -> list[list[Path]]:
    """The files that are named, by network: each of several folders holds one, and files beside them are one more.

    With one folder or none, all are files of one network.
    """
    folders = [path for path in paths if path.suffix not in FORMATS and path.is_dir()]
    if len(folders) < 2:
        return [files_in(paths)]
    others = [path for path in paths if path not in folders]
    return [*([files_in(others)] if others else []), *(files_in([folder]) for folder in folders)]


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and of a folder those in it; InputError for a folder without any.

    Others are held against the first file, so that in a folder .tflite files come first, of them those called fp32.
    """
    files: list[Path] = []
    for path in paths:
        if path.suffix in FORMATS or not path.is_dir():
            files.append(path)
            continue
        inside = [file for file in path.iterdir() if file.suffix in FORMATS]
        inside.sort(key=lambda file: (file.suffix != ".tflite", "fp32" not in file.name, file.name))
        with_answers = [file.name for file in inside if "-answers-" in file.name]  # dermedge's own: two inputs
        if with_answers:
            log.info("left out, because they take answers beside the picture: %s", ", ".join(with_answers))
            inside = [file for file in inside if file.name not in with_answers]
        away = missing() if any(file.suffix == ".aimodel" for file in inside) else None
        if away:
            log.info("left out the .aimodel files of %s: %s", path, away)
            inside = [file for file in inside if file.suffix != ".aimodel"]
        if not inside:
            raise InputError(f"{path} holds none of {', '.join(FORMATS)}")
        files += inside
    return files


def check_files(files: Sequence[Path]) -> None:
    if not files:
        raise InputError("no file to look at; name a .tflite, .mlpackage, .onnx or .aimodel")
    for path in files:
        if path.suffix not in FORMATS:
            raise InputError(f"{path} is none of {', '.join(FORMATS)}")
        if not path.exists():
            raise InputError(f"no file at {path}")


def names_of(files: Sequence[Path]) -> dict[Path, str]:
    """What each is called: its name, behind as many of its folders as tell it from others of that name.

    InputError for a file that is named twice.
    """
    places = [path.parent.resolve() / path.name for path in files]
    twice = next((place for place, number in Counter(places).items() if number > 1), None)
    if twice:
        raise InputError(f"{files[places.index(twice)]} is named twice; name it once")
    return {path: short_name(place, places) for path, place in zip(files, places, strict=True)}


def short_name(place: Path, places: Sequence[Path]) -> str:
    """The fewest last parts of a path that end no other of `places`, which are absolute and each there once."""
    for length in range(1, len(place.parts)):
        end = place.parts[-length:]
        if sum(other.parts[-length:] == end for other in places) == 1:
            return "/".join(end)
    return place.as_posix()


def check_modes(modes: Sequence[str]) -> None:
    """InputError for a runtime that there is not."""
    for mode in modes:
        check_mode(mode)
        if on_phone(mode):
            choice_of(mode)


def check_shape(
    path: Path, size: tuple[int, int], classes: int, squares: np.ndarray, others: Sequence[Subject]
) -> None:
    """InputError where files cannot be of one network."""
    if others and (size != squares.shape[1:3] or classes != others[0].numbers.shape[1]):
        first = others[0]
        raise InputError(
            f"{path.name} takes {size[0]} x {size[1]} pixels and gives {classes} numbers, {first.path.name} "
            f"{squares.shape[1]} x {squares.shape[2]} and {first.numbers.shape[1]}; files of one network are compared"
        )


def open_first(path: Path, pixels: str | None, threads: int) -> tuple[Foreign, str, tflite_files.Contents | None]:
    """A file where phones run it: a .tflite on XNNPACK, or on the plain kernels where that does not take it."""
    if path.suffix == ".mlpackage":
        from edge.runtimes.foreign.package import Package

        return Package(path, pixels), "interpreter", None
    if path.suffix == ".aimodel":
        from edge.runtimes.foreign.aimodel import AIModel

        return AIModel(path), MODE, None
    if path.suffix == ".onnx":
        from edge.runtimes.foreign.onnx_file import Onnx

        return Onnx(path, pixels, threads=threads), "onnxruntime", None
    contents = tflite_files.read(path, pixels)
    try:
        return tflite_files.TFLite(contents, "xnnpack", threads=threads), "xnnpack", contents
    except Refused as refusal:
        with suppress(Refused):
            return tflite_files.TFLite(contents, "reference", threads=threads), "reference", contents
        raise InputError(f"LiteRT here does not open it, so that there is nothing to compare with: {refusal}") from None


def first_answers(
    opened: Foreign, mode: str, contents: tflite_files.Contents | None, squares: np.ndarray, threads: int
) -> tuple[np.ndarray, str]:
    """What a file says where phones run it, (N, K), and in which mode: one that XNNPACK opens and then stops in runs on
    the plain kernels, as one that it does not open."""
    try:
        return opened.run(squares), mode
    except Refused as refusal:
        if contents is None or mode == "reference":
            raise
        with suppress(Refused):
            return answers_of(contents, "reference", squares, threads)[0], "reference"
        raise InputError(f"LiteRT here does not run it, so that there is nothing to compare with: {refusal}") from None


def halves(opened: Foreign) -> bool | None:
    """Whether a package or an .onnx computes in half precision; None where it has rounded weights or 8-bit values."""
    return getattr(opened, "half", False)


def rows_of(subject: Subject, squares: np.ndarray, modes: Sequence[str], threads: int) -> list[dict[str, Any]]:
    """The file in every runtime against where phones run it."""
    base = {"file": subject.name, "format": subject.form}
    first = base | {"runtime": subject.mode, "version": litert() if subject.contents else "", "state": REPORTED,
                    "why": "what the others are held against"}  # fmt: skip
    if subject.contents is None:
        return [first]
    against = Against(subject.contents, squares, subject.numbers, subject.gives)
    rows = [first]
    for mode in modes:
        if mode == subject.mode:
            continue
        row: dict[str, Any] = base | {"runtime": mode, "version": ""}
        try:
            with busy(f"{subject.name} on {mode}"):
                vectors, row["version"] = answers_of(subject.contents, mode, squares, threads)
        except NotSetUp as missing:
            rows.append(row | {"state": NOT_SET_UP, "why": str(missing), "command": missing.command})
            continue
        except InputError as refusal:
            state = REFUSED if isinstance(refusal, Refused) else NOT_SET_UP
            rows.append(row | {"state": state, "why": str(refusal)})
            continue
        row |= against.row(mode, vectors)
        rows.append(row)
    return rows


def answers_of(contents: tflite_files.Contents, mode: str, squares: np.ndarray, threads: int) -> tuple[np.ndarray, str]:
    """What a file says in a runtime, and the version of that."""
    runtime = tflite_files.TFLite(contents, mode, threads=threads)
    try:
        return runtime.run(squares), runtime.version or litert()
    finally:
        runtime.close()


def litert() -> str:
    try:
        return version_of("ai-edge-litert")
    except PackageNotFoundError:
        return ""


def pair_of(first: Subject, second: Subject, squares: np.ndarray) -> dict[str, Any]:
    """Two files of one network; how far apart they may be follows from the .tflite among them."""
    limits, why = None, unlike(first, second)
    if not why:
        try:
            limits = limits_between(first, second, squares)
        except InputError as error:
            why = str(error)
    result = compared(first.numbers, second.numbers, limits)
    return {"file": second.name, "other": first.name, **result, "why": result["why"] or why}


def unlike(first: Subject, second: Subject) -> str:
    """Why no limit can be derived for two files; empty where one can."""
    kinds = {first.gives, second.gives}
    if len(kinds) > 1 and kinds != {"probabilities", "logits"}:
        return f"{first.name} gives {first.gives}, {second.name} {second.gives}"
    if first.contents is None and second.contents is None:
        return "neither is a .tflite, from whose operators a limit is derived"
    if first.rounds is None or second.rounds is None:
        return "one of them has rounded weights, and is no .tflite, whose roundings can be read"
    return ""


def limits_between(first: Subject, second: Subject, squares: np.ndarray) -> np.ndarray:
    """Both files' limits together, for each picture, (N,); a file that is no .tflite has the other's operators."""
    parts = []
    for subject, other in ((first, second), (second, first)):
        unit = FLOAT16_UNIT if subject.rounds else FLOAT32_UNIT
        graph = subject if subject.contents is not None else other
        assert graph.contents is not None
        own = graph is subject
        parts.append(limits_of(graph.contents, squares, unit, gives=graph.gives, source=own))
    return np.sqrt(parts[0] ** 2 + parts[1] ** 2)


def gate_of(path: Path) -> str | None:
    """What its recipe's gate said of a file that dermedge made, from the manifest beside it; None of any other file."""
    if not (path.parent / artifact.MANIFEST).is_file():
        return None
    try:
        manifest = artifact.read(path.parent)
    except InputError:  # of somebody else's tool
        return None
    digest = sha256(path)
    entry = next((entry for entry in manifest.files if entry.file == path.name and entry.sha256 == digest), None)
    return entry.parity.verdict if entry is not None and entry.parity is not None else None


def report_of(
    subjects: Sequence[Subject], rows: list[dict[str, Any]], pairs: list[dict[str, Any]], chosen: Pictures
) -> dict[str, Any]:
    data = {
        "name": chosen.name,
        "images": len(chosen.paths),
        "synthetic": chosen.synthetic,
        "note": chosen.note,
        "names": [path.name for path in chosen.paths],
    }
    files = [
        {
            "file": subject.name,
            "sha256": sha256(subject.path),
            "bytes": size_of(subject.path),
            "format": subject.form,
            "pixels": subject.pixels,
            "gives": subject.gives,
            "classes": subject.numbers.shape[1],
            "opens_from": opens_from(subject.path.read_bytes()) if subject.contents is not None else None,
            "gate": gate_of(subject.path),
        }
        for subject in subjects
    ]
    counts = {state: sum(row["state"] == state for row in rows) for state in (SAME, DIFFERS, REFUSED, NOT_SET_UP)}
    model = " and ".join(file["file"] for file in files[:2]) + (" and others" if len(files) > 2 else "")
    return plain(
        {**header(SCHEMA, model=model, data=data), "files": files, "rows": rows, "pairs": pairs, "counts": counts}
    )
