"""What is asked of exported files: parity, layers, mistakes, robustness and decisions, each with the same form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import artifact, checks
from edge.build import Build
from edge.build import open_build as open_folder
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs
from edge.errors import InputError
from edge.models import MODELS
from edge.progress import Listener

from .loading import load

if TYPE_CHECKING:
    from edge.questions.decision.measure import DecisionReport
    from edge.questions.layers.measure import LayersReport
    from edge.questions.matrix.measure import MatrixReport
    from edge.questions.mistakes.measure import MistakesReport
    from edge.questions.parity.measure import ParityReport
    from edge.questions.robustness.measure import RobustnessReport

# How many photographs robustness looks at: 56 pictures of each, three answers, take two to three minutes of one core.
ROBUSTNESS_IMAGES = 128


def opened(build: Build | str | Path) -> Build:
    """A Build, or the one in a folder; InputError for anything else."""
    if isinstance(build, Build):
        return build
    if isinstance(build, Checkpoint):
        raise InputError("`build` is a Build or its folder, got a Checkpoint; `dermedge.convert` makes one of it")
    return open_folder(checks.path(build, "build", "a folder that `convert` wrote, or a Build"))


def parity(
    build: Build | str | Path,
    photos: Photographs = None,
    *,
    images: int | None = None,
    views: int | None = None,
    modes: Sequence[str] | None = None,
    threads: int = 1,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> ParityReport:
    """Run every file of a build on photographs of unseen patients and judge its answers against the float network's.

    `build`: a Build, or its folder. `photos`: a folder, a PhotoSet or several; None: the folder in DERMEDGE_PHOTOS,
    else drawn images, and the proof says so. `images`: at most so many, each judged in so many
    `views` as a hand-held phone would have taken it (docs/parity.md); None: 4 to 16, more of few
    photographs. `modes`: of "xnnpack", "xnnpack-fp16",
    "reference" for .tflite files, or a phone's own library as docs/phones.md names it; None: as phones run them.
    `threads`: of the CPU.

    The proof has `verdict` (pass, fail, inconclusive or reported), `failed` (files whose binding gate failed, with the
    runtime), `report` (all figures, as parity.json has them), and `write(folder)`, which leaves report.html,
    parity.json and parity.xml (JUnit). Raises InputError where photographs cannot be read or no file can be run here.
    """
    from edge.questions.parity.measure import measure

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    return measure(
        opened(build),
        checks.photographs(photos),
        images=checks.whole_or_none(images, "images", 1),
        views=checks.whole_or_none(views, "views", 1),
        modes=checks.names_or_none(modes, "modes"),
        threads=checks.whole(threads, "threads", 1),
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def layers(
    build: Build | str | Path,
    photos: Photographs = None,
    *,
    images: int | None = None,
    files: Sequence[str] | None = None,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> LayersReport:
    """Find the first operation of each file that loses more than its precision explains, and its torch module.

    `images`: how many photographs, 4 by default. `files`: these file names or recipes alone. `failed` names the files
    with a binding gate that have such an operation. Raises InputError where no file can be looked into.
    """
    from edge.questions.layers.measure import measure

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    return measure(
        opened(build),
        checks.photographs(photos),
        images=checks.whole_or_none(images, "images", 1),
        files=checks.names_or_none(files, "files"),
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def matrix(
    files: str | Path | Sequence[str | Path],
    images: str | Path | None = None,
    *,
    photos: Photographs = None,
    checkpoint: str | Path | Sequence[str | Path] | None = None,
    pixels: str | None = None,
    modes: Sequence[str] | None = None,
    count: int = 8,
    threads: int = 1,
    on_progress: Listener | None = None,
) -> MatrixReport:
    """Run files that need not be ours in every runtime there is here, and hold them against each other.

    `files`: a .tflite, .mlpackage, .onnx or .aimodel with a picture in and a vector out, a folder of them, or several
    of one network; of several folders each holds a network of its own.
    `images`: any folder with pictures; None: the photographs in DERMEDGE_PHOTOS, else drawn ones; at most `count` are
    used. `photos`: data sets in place of that, without augmented copies and, of files beside their manifest, without
    patients whom the network saw. `checkpoint`: where that is read, one or several, for networks of dermedge that are
    neither shipped nor beside their files. `pixels`: what a float input expects, "0..255", "0..1", "-1..1" or
    "imagenet", where the file does not say it. `modes`: runtimes of .tflite files, as docs/phones.md names them; None:
    all, those that are not set up listed with the command for it.

    The report has `verdict` (pass or fail), `failed` (files with the runtime where the answer is another one), `report`
    (all figures, as matrix.json has them) and `write(folder)`. Raises InputError for files of another kind.
    """
    from edge.questions.matrix.measure import measure, networks_in

    checks.listener(on_progress)
    several = list(files) if isinstance(files, list | tuple) else [files]
    if not several:
        raise InputError("`files` are paths of .tflite, .mlpackage or .onnx files, got none")
    named = [checks.path(file, "files", "a .tflite, .mlpackage or .onnx, or a folder of them") for file in several]
    trained = [] if checkpoint is None else list(checkpoint) if isinstance(checkpoint, list | tuple) else [checkpoint]
    return measure(
        networks_in(named),
        None if images is None else checks.path(images, "images", "a folder with pictures"),
        photos=checks.photographs(photos),
        checkpoints=[checks.path(path, "checkpoint", "the weights that files were converted from") for path in trained],
        pixels=checks.text_or_none(pixels, "pixels", "what a float input expects of a pixel"),
        modes=checks.names_or_none(modes, "modes"),
        count=checks.whole(count, "count", 1),
        threads=checks.whole(threads, "threads", 1),
        on_progress=on_progress,
    )


def mistakes(
    build: Build | str | Path,
    photos: Photographs = None,
    *,
    images: int | None = None,
    threads: int = 1,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> MistakesReport:
    """What the usual mistakes between camera and model cost: resize, crop, BGR, orientation, YUV, normalisation.

    Runs the fp32 and the int8 .tflite of the build. It has no gate: `failed` is empty. Raises InputError where the
    build has neither file.
    """
    from edge.questions.mistakes.measure import measure

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    return measure(
        opened(build),
        checks.photographs(photos),
        images=checks.whole_or_none(images, "images", 1),
        threads=checks.whole(threads, "threads", 1),
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def robustness(
    build: Build | str | Path,
    photos: Photographs = None,
    *,
    images: int | None = ROBUSTNESS_IMAGES,
    files: Sequence[str] | None = None,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] | None = None,
    threads: int = 1,
    seed: int = 0,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> RobustnessReport:
    """What bad photographs cost the float model and the 8-bit files: eleven corruptions at severities 1 to 5.

    `images`: at most so many photographs, None for all. `files`: .tflite files or recipes (None: those with 8-bit
    products). It has no gate: `failed` is empty. Raises InputError for a name or number that is none.
    """
    from edge.questions.robustness.measure import measure

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    return measure(
        opened(build),
        checks.photographs(photos),
        images=checks.whole_or_none(images, "images", 1),
        files=checks.names_or_none(files, "files"),
        corruptions=checks.names_or_none(corruptions, "corruptions"),
        severities=checks.wholes_or_none(severities, "severities"),
        threads=checks.whole(threads, "threads", 1),
        seed=checks.whole(seed, "seed", 0),
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def decision(
    build: Build | Checkpoint | str | Path,
    photos: Photographs = None,
    *,
    thresholds: Mapping[str, Any] | None = None,
    alarm_limit: float = 0.05,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> DecisionReport:
    """Which photographs are sent back, and which answers are too unsure to be given: class, uncertain or retake.

    It is asked of the float network: `build` is a Build or its folder, of which the checkpoint is taken, or a
    Checkpoint or its path. `thresholds`: a manifest's `decision`; None: that of the build's manifest, or those that
    `dermedge decide --measure` kept beside the checkpoint. `alarm_limit`: share of good photographs that may be sent
    back, 0 to 1. `failed` names the sets of which more are sent back, beyond doubt. Raises InputError where no
    thresholds were measured.
    """
    from edge import thresholds as kept
    from edge.questions.decision.measure import measure

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    alarm_limit = checks.number(alarm_limit, "alarm_limit")
    photos = checks.photographs(photos)
    if thresholds is not None and not isinstance(thresholds, Mapping):
        raise InputError(f"`thresholds` is the `decision` of a manifest, a mapping, got {checks.shown(thresholds)}")
    checkpoint, in_manifest = asked_of(build)
    if thresholds is None:
        thresholds = in_manifest
    if thresholds is None and checkpoint.path is not None:
        side = checkpoint.preprocess.side
        thresholds = kept.find(checkpoint.path, checkpoint_sha256=checkpoint.sha256, side=side)
    if thresholds is None:
        raise InputError(
            f"no thresholds were measured for {checkpoint.model}; run `dermedge decide --measure`, or give `thresholds`"
        )
    return measure(
        checkpoint,
        photos,
        thresholds=kept.check_section(thresholds, where="`thresholds`"),
        alarm_limit=alarm_limit,
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def asked_of(build: Build | Checkpoint | str | Path) -> tuple[Checkpoint, Mapping[str, Any] | None]:
    """The float network that decisions are asked of, and the thresholds in the manifest of a build."""
    if isinstance(build, str | Path) and build not in MODELS:
        place = checks.path(build, "build", "a folder that `convert` wrote, or a checkpoint")
        build = open_folder(place) if (place / artifact.MANIFEST).is_file() else load(place)
    if isinstance(build, Build):
        return build.checkpoint, build.manifest.decision
    if isinstance(build, str):
        return load(build), None
    expected = "a Build, a Checkpoint, or the path of one; `convert`, `load` and `wrap` give them"
    return checks.instance(build, "build", Checkpoint, expected), None
