"""Copy one exported file into an app, with the manifest of that file alone and its self-test images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge import artifact
from edge.bundles.app_runtimes import FORMATS, AppRuntime, app_runtime, check_opens
from edge.bundles.self_test import check_answers, checked_image, tests_of
from edge.errors import InputError, did_you_mean
from edge.files import LEFT_BEHIND, moved_into_place, read_json, write_json
from edge.manifest import FileEntry, Manifest, Run, SelfTest, from_json_value, to_json_value
from edge.preprocess import check_version
from edge.runtimes.open import open_file

# Where an app of each kind looks for its model, below the app's own folder.
PLACES = {"android": "app/src/main/assets/model", "ios": "Demo/Model", "web": "model"}
SCHEMAS = "dermedge/manifest/"  # how the schema of every manifest of ours begins
DEFAULT_RECIPE = "fp16"  # float arithmetic on a CPU, half the download


@dataclass(frozen=True)
class Bundle:
    """What was put into an app."""

    folder: Path
    entry: FileEntry
    runtime: AppRuntime
    seen_right: tuple[Run, ...]  # the runs in which this runtime was right before; empty: nobody has tried it
    largest_delta_p: float | None  # of the self-test in this runtime, against what is expected; None: it was not run
    why_not_run: str | None  # the reason


def bundle(
    folder: Path,
    app: str,
    target: Path,
    *,
    recipe: str | None = None,
    runtime: str | None = None,
    answers: bool = False,
) -> Bundle:
    """Check a build folder and copy what an app needs into `target`/PLACES[app], replacing an earlier bundle.

    `recipe`: of the file, or its name; `answers`: the file with the second input. `runtime`: as `tflite-2.16.1`, by
    default the usual one of that kind of app. Where dermedge has that runtime on this machine, the self-test is run in
    it first. Raises InputError for a folder without a manifest, with one of another schema, or with a file that is
    missing or not the one described; for a file that this runtime does not open or answers wrongly for; and where the
    place holds what is no bundle.
    """
    chosen = app_runtime(runtime, app)
    manifest = artifact.read(folder)
    check_version(manifest.preprocess, where=str(folder))
    entry = entry_for(manifest, FORMATS[app], recipe or DEFAULT_RECIPE, answers=answers)
    check_opens(entry, chosen)
    artifact.verify_files(folder, [entry])
    tests = tests_of(manifest, entry)
    if not tests:
        raise InputError(f"{folder}: no self-test image says what {entry.file} must answer; convert again")
    images = [checked_image(folder, test, manifest.side) for test in tests]
    place = target / PLACES[app]
    check_replaceable(place)
    delta, why_not = None, None
    mode = mode_here(chosen)
    if mode is None:
        why_not = f"there is no {chosen.name} on this machine"
    else:
        delta = check_answers(open_file(folder / entry.file, entry.format, mode=mode), tests, images, chosen.name)
    small = replace(
        manifest,
        files=(entry,),
        self_test=tuple(of_file(test, entry.file) for test in tests),
    )
    write(folder, place, small, entry)
    return Bundle(place, entry, chosen, chosen.saw_right(entry), delta, why_not)


def of_file(test: SelfTest, name: str) -> SelfTest:
    """A self-test image with what it states of one file."""
    masks = test.expected_mask
    if masks is not None:
        masks = {file: mean for file, mean in masks.items() if file == name}
    return replace(test, expected={name: test.expected[name]}, expected_mask=masks)


def entry_for(manifest: Manifest, form: str, name: str, *, answers: bool) -> FileEntry:
    """The file of that recipe or name; InputError with those that there are."""
    fitting = [entry for entry in manifest.files if entry.format == form]
    if not fitting:
        raise InputError(f"{manifest.model} has no .{form} file, which this app runs; convert it first")
    for entry in fitting:
        if name == entry.file or (name == entry.recipe and entry.answers == answers):
            return entry
    known = list(dict.fromkeys(entry.recipe for entry in fitting if entry.answers == answers))
    if answers and not known:
        raise InputError(f"{manifest.model} has no .{form} file that takes answers; convert it again with `answers`")
    kind = " that takes answers" if answers else ""
    raise InputError(
        f"{manifest.model} has no .{form} file {name!r}{kind}{did_you_mean(name, known)}; `recipe` is one of "
        f"{', '.join(known) or 'none'}"
    )


def mode_here(runtime: AppRuntime) -> str | None:
    """The mode of edge/runtimes that is this very runtime, where it is set up on this machine; None without it."""
    from edge.phones import android, arm, browser, legacy

    if runtime.library == "litert" and runtime.number != arm.LITERT:
        return f"litert:{runtime.number}" if legacy.is_here("litert", runtime.number) else None
    set_up: dict[str, tuple[str, bool, Callable[[], bool]]] = {
        "tflite": (f"android:{runtime.number}", True, lambda: android.is_set_up(runtime.number)),
        "litert": ("arm64", runtime.number == arm.LITERT, arm.is_set_up),
        "litertjs": ("browser", runtime.number == browser.LITERTJS, browser.is_set_up),
        "ios": ("", False, lambda: False),  # Core ML runs on Apple's systems alone
    }
    mode, same_version, is_set_up = set_up[runtime.library]
    return mode if same_version and is_set_up() else None


def check_replaceable(place: Path) -> None:
    """InputError where something lies at the place that no bundle of ours is, of whatever schema version."""
    if not place.is_dir():
        if place.exists():
            raise InputError(
                f"{place} is a file, and the app's model folder goes there; move it, or give another `out`"
            )
        return
    if all(path.name in LEFT_BEHIND for path in place.iterdir()):
        return
    try:
        schema = read_json(place / artifact.MANIFEST, expected="a bundle's manifest").get("schema")
    except InputError:
        schema = None
    if not str(schema).startswith(SCHEMAS):
        raise InputError(
            f"{place} holds something else than an earlier bundle ({artifact.MANIFEST} of dermedge is not there), and "
            "would be replaced as a whole; move it away, or give another `out`"
        )


def write(folder: Path, place: Path, manifest: Manifest, entry: FileEntry) -> None:
    """The app's model folder, checked again where it lies before it replaces the last one."""
    value = to_json_value(manifest)
    with moved_into_place(place) as new:
        new.mkdir(parents=True)
        for name in [entry.file, *dict.fromkeys(test.image for test in manifest.self_test)]:
            source = folder / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, new / name)
        write_json(new / artifact.MANIFEST, value)
        from_json_value(value, where=str(new / artifact.MANIFEST))
        artifact.verify_files(new, [entry])
