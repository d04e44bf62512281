"""A checkpoint -> files of one format, each judged before it is kept, and the manifest that describes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge import artifact
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, judging_set
from edge.data.table import PhotoSet
from edge.data.views import load_views
from edge.errors import InputError
from edge.files import check_writable, remove, scratch_in
from edge.files import replace as replace_file
from edge.locks import alone_in
from edge.manifest import Manifest
from edge.progress import busy
from edge.runtimes import Outputs
from edge.runtimes.reference import TOGETHER, Reference
from edge.uninterrupted import uninterrupted

from ._answered import (
    STEM,
    answered_by,
    refuse_other_answers,
    with_questions,
    without_unasked,
    words_on_former_answers,
)
from ._beside_float import timed_beside_float
from ._facts import base_manifest, with_decision
from ._folder import file_entry, manifest_to_extend, refuse_another_network
from ._format import Format, Source
from ._job import Job, write_and_judge
from ._judge import Judged
from ._reference import keep_reference
from ._self_test import add_expected, self_test_images, write_self_test
from ._views import photographs_for, views_for


@dataclass(frozen=True)
class Conversion:
    """What one conversion wrote and what it rejected."""

    folder: Path
    form: str  # "tflite", "mlpackage", "aimodel" or "onnx"
    checkpoint: Checkpoint
    manifest: Manifest
    photos: PhotoSet  # that the files were judged on
    judged: tuple[Judged, ...]
    remark: str  # about rewrites and measurements
    masks: bool  # whether the network gives them
    seconds: float

    @property
    def rejected(self) -> list[str]:
        """Recipes whose file failed a binding gate and was not kept; `answers-int8` of one that takes answers."""
        return [result.name for result in self.judged if result.rejected]


def convert(
    checkpoint: Checkpoint,
    form: Format,
    *,
    path: Path | None,
    folder: Path,
    recipes: Sequence[str] | None = None,
    data: Photographs = None,
    force: bool = False,
    strict: bool = False,
    skip_unreadable: bool = False,
    measure_again: bool = False,
    fine_tune: int = 0,
    answers: bool = False,
) -> Conversion:
    """Convert to the wanted recipes (None: `chosen_recipes`), judge, and write what passes into `folder`.

    The lowered float network has to pass the gate of fp32, also where that recipe is not wanted; otherwise every recipe
    is rejected, and the remark says which operation is off. Interrupted, it keeps the files that are finished.

    With `answers` each recipe gets a second file, which takes what was answered as well (docs/answers.md).

    `path`: where the checkpoint's weights lie, None for a network in memory. Raises InputError for what cannot be
    converted, and for a folder that holds files of another checkpoint or, without `force`, files of these names.
    """
    begun = time.monotonic()
    wanted = chosen_recipes(form, recipes)
    names = {recipe: f"{checkpoint.model}-{recipe}{form.suffix}" for recipe in wanted}
    if answers:
        checkpoint.check_takes_answers()
    answers_names = {recipe: f"{checkpoint.model}-{STEM}-{recipe}{form.suffix}" for recipe in wanted if answers}
    to_write = [*names.values(), *answers_names.values()]
    check_writable(folder)
    with alone_in(folder), scratch_in(folder) as work:
        manifest = manifest_to_extend(folder, checkpoint, to_write, force=force)
        kinds = {recipe: form.recipes[recipe] for recipe in wanted}
        photos = judging_set(checkpoint, data, limit=photographs_for(checkpoint, kinds), skip_missing=skip_unreadable)
        side = checkpoint.preprocess.side
        views = views_for(checkpoint, kinds, len(photos))
        photos, drawn = load_views(photos, side, views, skip_unreadable=skip_unreadable)
        images = drawn.reshape(-1, side, side, 3)
        judged: list[Judged] = []
        stopped: BaseException | None = None
        try:
            with busy("tracing and lowering the float model"):
                reference = Reference(checkpoint)
                outputs = answers_of(reference, images, str(path or checkpoint.model))
                test_images = self_test_images(checkpoint)
                answered = answered_by(reference, checkpoint, photos, images, test_images) if answers else None
                source = Source(
                    checkpoint, photos, images, outputs, data, path, folder,
                    skip_unreadable, measure_again, fine_tune, strict, answered, views,
                )  # fmt: skip
                test_outputs = reference.run(test_images)
                if manifest:
                    refuse_another_network(folder, manifest, test_outputs, to_write)
                    refuse_other_answers(manifest, checkpoint, to_write)
                facts = with_decision(manifest or base_manifest(source), source)
                if answers:
                    facts = with_questions(facts, checkpoint)
                prepared = form.lower(source)
            job = Job(form, source, facts, work, names, answers_names, test_images)
            remark = write_and_judge(job, prepared, judged)
            judged[:] = timed_beside_float(judged, form, source)
        except (InputError, OSError, MemoryError, ModuleNotFoundError):
            raise
        except Exception as error:  # from a converter or a runtime
            raise InputError(
                f"the conversion of {checkpoint.model} broke: {type(error).__name__}: "
                f"{(str(error).splitlines() or ['?'])[0][:300]}. Nothing was written."
            ) from error
        except BaseException as stop:  # Ctrl-C, or SIGTERM in a command: what is finished is kept
            if isinstance(stop, SystemExit | GeneratorExit) or not judged:
                raise
            stopped = stop
        kept: Manifest | None = None
        try:
            with uninterrupted():  # files without a manifest that lists them would be nobody's
                kept = keep(folder, facts, source, form, judged, test_images, test_outputs)
        except BaseException as stop:
            if kept is None:
                raise
            stopped = stop  # asked for meanwhile
        assert kept is not None
    if stopped is not None:
        raise type(stopped)(
            what_was_finished(folder, judged, [*wanted, *(f"{STEM}-{recipe}" for recipe in answers_names)])
        ) from stopped
    if manifest and not answers:
        remark += words_on_former_answers(manifest, kept)
    masks = outputs.masks is not None
    seconds = time.monotonic() - begun
    return Conversion(folder, form.name, checkpoint, kept, photos, tuple(judged), remark, masks, seconds)


def keep(
    folder: Path,
    manifest: Manifest,
    source: Source,
    form: Format,
    judged: Sequence[Judged],
    test_images: np.ndarray,
    test_outputs: Outputs,
) -> Manifest:
    """Move what passed into the folder, with all that belongs to it; returns the manifest that was written."""
    manifest = keep_reference(manifest, source.checkpoint, folder)
    manifest = write_self_test(folder, manifest, test_images, test_outputs, source.answered)
    kept = [result for result in judged if not result.rejected]
    for result in kept:
        replace_file(result.path, folder / result.path.name)
    entries = [file_entry(folder / result.path.name, result, form.recipes[result.recipe]) for result in kept]
    manifest = add_expected(manifest.with_files(entries), kept)
    rejected = {result.path.name for result in judged if result.rejected}
    for name in rejected:  # with `force`: the file that this one should have replaced
        remove(folder / name)
    manifest = replace(manifest, files=tuple(entry for entry in manifest.files if entry.file not in rejected))
    manifest = without_unasked(manifest)
    artifact.write(folder, manifest)
    return manifest


def what_was_finished(folder: Path, judged: Sequence[Judged], wanted: Sequence[str]) -> str:
    """In words, of a conversion that was stopped: the recipes whose files stand, and those that were not tried."""
    kept = [result.name for result in judged if not result.rejected]
    missing = [name for name in wanted if name not in {result.name for result in judged}]
    stands = f"finished and listed in {folder / artifact.MANIFEST}: {', '.join(kept) or 'nothing'}"
    return f"interrupted; {stands}; not converted: {', '.join(missing) or 'nothing'}"


def chosen_recipes(form: Format, recipes: Sequence[str] | None) -> list[str]:
    """The recipes, each once; for None all of the format but those that want to be named. InputError for one that the
    format has not."""
    usual = [name for name, recipe in form.recipes.items() if not recipe.on_request]
    wanted = list(dict.fromkeys(usual if recipes is None else recipes))
    unknown = [recipe for recipe in wanted if recipe not in form.recipes]
    if unknown or not wanted:
        raise InputError(
            f"{form.name} has no recipe {unknown[0] if unknown else '(none named)'}; it has {', '.join(form.recipes)}"
        )
    return wanted


def answers_of(reference: Reference, images: np.ndarray, weights: str) -> Outputs:
    """What the float model says; InputError that names its `weights` if that cannot be kept."""
    outputs = reference.run(images, together=TOGETHER)
    finite = np.isfinite(outputs.probabilities).all(axis=1)
    if outputs.masks is not None:
        finite &= np.isfinite(outputs.masks).all(axis=(1, 2))
    broken = int((~finite).sum())
    if broken:
        raise InputError(
            f"{weights}: the float model's answers are NaN or infinite on {broken} of {len(images)} images; "
            "its weights are damaged or its training diverged"
        )
    return outputs
