"""A folder of exported files whose manifest describes them, with the checkpoint that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from edge import artifact
from edge.checkpoint import UNTRAINED, Checkpoint, load, shipped
from edge.errors import InputError, did_you_mean
from edge.locks import alone_in
from edge.manifest import FileEntry, Manifest, Run
from edge.preprocess import check_version
from edge.questionnaire import Question
from edge.scheme import COREML_SUFFIX, ONNX_SUFFIX, SUFFIX, Scheme
from edge.scheme import load as load_scheme


@dataclass(frozen=True)
class Build:
    """The files of one model, and the float network that they are judged against."""

    folder: Path
    manifest: Manifest
    checkpoint: Checkpoint
    rejected: tuple[str, ...] = ()  # file names that failed a binding gate in the conversion and were not kept
    reasons: tuple[str, ...] = ()  # why, in words, each cause once

    def __repr__(self) -> str:
        return f"<Build {self.manifest.model} in {self.folder}: {len(self.manifest.files)} files>"

    def path(self, entry: FileEntry) -> Path:
        """Where a file of the manifest lies."""
        return self.folder / entry.file

    def chosen(self, names: Sequence[str] | None) -> list[FileEntry]:
        """The entries of these file names or recipes, all for None, of the files that take a picture alone.

        InputError for an unknown name, and for that of a file that takes answers as well.
        """
        entries = list(self.manifest.of_pictures)
        if names:
            told = [entry for entry in self.manifest.files if entry.answers and entry.file in names]
            if told:
                alone = [e.file for e in entries if (e.format, e.recipe) == (told[0].format, told[0].recipe)]
                instead = f": name {alone[0]}, of which it is made" if alone else ""
                raise InputError(f"{told[0].file} takes answers, and pictures alone are asked about here{instead}")
            known = {entry.file for entry in entries} | {entry.recipe for entry in entries}
            unknown = [name for name in names if name not in known]
            if unknown:
                raise InputError(
                    f"{self.folder} has no file or recipe {unknown[0]}{did_you_mean(unknown[0], known)}; it has "
                    f"{', '.join(sorted(known))}"
                )
            entries = [entry for entry in entries if {entry.file, entry.recipe} & set(names)]
        if not entries:
            raise InputError(f"{self.folder} holds no file; `convert/to_tflite.py` writes some")
        return entries

    def _repr_html_(self) -> str:
        """A short table for notebooks."""
        verdicts = [(entry, entry.parity.verdict if entry.parity else "not run here") for entry in self.manifest.files]
        rows = "".join(
            f"<tr><td>{escape(entry.file)}</td><td style='text-align:right'>{entry.bytes:,}</td>"
            f"<td>{escape(entry.opens_from)}</td><td>{verdict}</td></tr>"
            for entry, verdict in verdicts
        )
        rejected = "".join(f"<li>rejected: {escape(name)}</li>" for name in self.rejected)
        rejected += "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        model, folder = escape(self.manifest.model), escape(str(self.folder))
        return (
            f"<p><b>{model}</b>, {self.manifest.parameters:,} parameters, in {folder}</p>"
            f"<table><tr><th>file</th><th>bytes</th><th>opens from</th><th>verdict</th></tr>{rows}</table>"
            + (f"<ul>{rejected}</ul>" if rejected else "")
        )

    def schemes(self) -> dict[str, Scheme]:
        """Format -> the quantisation scheme beside its files, if it is the one that they were made with."""
        schemes = {}
        for form, suffix in (("tflite", SUFFIX), ("mlpackage", COREML_SUFFIX), ("onnx", ONNX_SUFFIX)):
            path = self.folder / f"{self.manifest.model}-int8{suffix}"
            scheme = load_scheme(path) if path.is_file() else None
            if scheme is not None and scheme.checkpoint_sha256 == self.checkpoint.sha256:
                schemes[form] = scheme
        return schemes


def remember(
    build: Build,
    right: Sequence[tuple[str, Run]],
    slow: Sequence[tuple[str, Run]] = (),
    *,
    wrong: Sequence[tuple[str, Run]],
) -> None:
    """Write into the folder's manifest where its files were seen to answer rightly, and where slowly, each place once.

    What is in `right` and not in `slow` is no longer called slow there, and what is in `wrong` is called neither right
    nor slow, whatever was seen before. The manifest is read again: others may have added files since. A file that was
    replaced meanwhile was not seen.
    """
    remember_in(build.folder, build.manifest, right, slow, wrong=wrong)


def remember_in(
    folder: Path,
    seen: Manifest,
    right: Sequence[tuple[str, Run]],
    slow: Sequence[tuple[str, Run]] = (),
    *,
    wrong: Sequence[tuple[str, Run]],
) -> None:
    """The same of a folder whose manifest was `seen` before the runs."""
    ran = {entry.file: entry.sha256 for entry in seen.files}
    with alone_in(folder):
        manifest = artifact.read(folder)
        files = []
        for entry in manifest.files:
            same = ran.get(entry.file) == entry.sha256
            own, own_slow, own_wrong = (
                [run for file, run in runs if file == entry.file and same] for runs in (right, slow, wrong)
            )
            before = [run for run in entry.seen_slow if run not in own]
            files.append(
                replace(
                    entry,
                    seen_right=each_once([*entry.seen_right, *own], but=own_wrong),
                    seen_slow=each_once([*before, *own_slow], but=own_wrong),
                )
            )
        if tuple(files) != manifest.files:
            artifact.write(folder, replace(manifest, files=tuple(files)))


def each_once(runs: Sequence[Run], *, but: Sequence[Run]) -> tuple[Run, ...]:
    return tuple(run for run in dict.fromkeys(runs) if run not in but)


def open_build(folder: str | Path, *, checkpoint: str | Path | None = None) -> Build:
    """Check the folder against its manifest and find the float network.

    `checkpoint`: where the weights are that the files came from; without it the program in the folder, the random
    weights that `convert … --untrained` left there, or the shipped checkpoint. InputError where they do not match.
    """
    folder = Path(folder)
    manifest = artifact.read(folder)
    check_version(manifest.preprocess, where=str(folder))
    artifact.verify(folder, manifest)
    source = load(checkpoint or weights_in(folder, manifest) or shipped(manifest.model))
    if source.sha256 != manifest.checkpoint_sha256:
        raise InputError(
            f"{folder} was converted from another checkpoint than {checkpoint or 'the shipped one'}; "
            "give the right one with `checkpoint`, or convert again"
        )
    check_same(folder, manifest, source)
    return Build(folder, manifest, source)


def check_same(folder: Path, manifest: Manifest, checkpoint: Checkpoint) -> None:
    """InputError unless the manifest and the float network speak of the same classes, picture and temperature."""
    for words, in_manifest, in_checkpoint in (
        ("model", manifest.model, checkpoint.model),
        ("classes", ", ".join(manifest.codes), ", ".join(label.code for label in checkpoint.labels)),
        ("side", manifest.side, checkpoint.preprocess.side),
        ("preprocessing", manifest.preprocess, checkpoint.preprocess.version),
        ("temperature", manifest.output.temperature, checkpoint.temperature),
        *(
            []
            if manifest.log_odds is None
            else [
                ("questions", ids(manifest.questions), ids(checkpoint.questions)),
                ("log-odds of answers", manifest.log_odds, checkpoint.log_odds),
            ]
        ),
    ):
        if in_manifest != in_checkpoint:
            raise InputError(
                f"{folder}: manifest.json has the {words} {in_manifest}, its float network {in_checkpoint}; one of "
                "them was changed: convert again"
            )


def ids(questions: Sequence[Question]) -> str:
    return ", ".join(question.id for question in questions) or "none"


def weights_in(folder: Path, manifest: Manifest) -> Path | None:
    """The float network that lies beside the files; None of a trained checkpoint that lies elsewhere."""
    if manifest.reference.file is not None:
        return folder / manifest.reference.file
    untrained = manifest.training.untrained
    return folder / f"{UNTRAINED}-{untrained.seed}.safetensors" if untrained else None
