"""What all converters do around the conversion itself: refuse, convert, judge, write, describe, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dermedge.console import screen, third_party_noise_into
from edge import artifact
from edge.checkpoint import UNTRAINED, Checkpoint, load, shipped
from edge.data.selection import judging_set
from edge.data.squares import load_squares
from edge.errors import GATE_FAILED, GOOD, InputError
from edge.files import remove, replace, scratch_in, sha256, size
from edge.models import DEFAULT_MODEL, family_name
from edge.progress import busy
from edge.recipes import Recipe
from edge.runtimes import Found
from edge.runtimes.reference import Reference

from ._describe import audit_table, base_manifest, result_table, with_decision
from ._format import Format, Judged, Source
from ._self_test import add_expected, mean_of, self_test_images, write_self_test
from ._untrained import SIDE, untrained

JUDGED_IMAGES = 64
SAME_ANSWER = 1e-4  # of a probability; processors differ by less
LOG = "convert.log"


def export(args: argparse.Namespace, form: Format, recipes: Mapping[str, Recipe]) -> int:
    """Convert to the wanted recipes, judge, write; returns the exit code."""
    begun = time.monotonic()
    path, checkpoint = checkpoint_of(args)
    folder = args.out or (Path("build") / checkpoint.model if args.untrained is None else path.parent)
    wanted = list(dict.fromkeys(args.recipe or recipes))
    names = {recipe: f"{checkpoint.model}-{recipe}{form.suffix}" for recipe in wanted}
    manifest = manifest_to_extend(folder, checkpoint, list(names.values()), force=args.force)
    skip = args.skip_unreadable
    photos = judging_set(checkpoint, args.data, limit=JUDGED_IMAGES, skip_missing=skip)
    photos, images = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=skip)
    log = folder / LOG
    with scratch_in(folder) as work:
        try:
            with busy("tracing and lowering the float model"), third_party_noise_into(log):
                reference = Reference(checkpoint)
                source = Source(
                    checkpoint, photos, images, answers_of(reference, images, path), args.data, path, folder, skip,
                    args.measure_again, getattr(args, "fine_tune", 0),
                )  # fmt: skip
                test_images = self_test_images(checkpoint)
                answers = reference.run_all(test_images)
                if manifest:
                    refuse_another_network(folder, manifest, answers, list(names.values()))
                manifest = with_decision(manifest or base_manifest(source, family_name(checkpoint.model)), source)
                remark = form.prepare(source, wanted)
            screen().print(remark)
            judged = []
            for recipe in wanted:
                with busy(f"{recipe}: converting and judging"), third_party_noise_into(log):
                    target = work / names[recipe]
                    form.convert(source, recipe, target, manifest)
                    judged.append(form.judge(source, recipe, target, test_images, strict=args.strict))
        except (InputError, KeyboardInterrupt, OSError, MemoryError, ModuleNotFoundError):
            raise
        except Exception as error:  # from a converter or a runtime, whose own words are in the log
            raise InputError(
                f"the conversion of {checkpoint.model} broke: {type(error).__name__}: "
                f"{(str(error).splitlines() or ['?'])[0][:300]}; all of it is in {log}. Nothing was written."
            ) from error
        manifest = write_self_test(folder, manifest, test_images, answers)
        kept = [result for result in judged if not result.rejected]
        for result in kept:
            replace(result.path, folder / result.path.name)
        entries = [describe_file(folder / result.path.name, result, form, recipes[result.recipe]) for result in kept]
        manifest = add_expected(artifact.with_files(manifest, entries), kept)
        rejected = {result.path.name for result in judged if result.rejected}
        for name in rejected:  # with --force: the file that this one should have replaced
            remove(folder / name)
        manifest["files"] = [entry for entry in manifest["files"] if entry["file"] not in rejected]
        artifact.write(folder, manifest)
    screen().print(result_table(judged, source, folder))
    if any(result.audit for result in judged):
        screen().print(audit_table(judged))
    return report(judged, folder, time.monotonic() - begun)


def checkpoint_of(args: argparse.Namespace) -> tuple[Path, Checkpoint]:
    if args.untrained is not None:
        if args.checkpoint:
            raise InputError("--untrained makes random weights, --checkpoint reads weights; give one of them")
        model = args.model or DEFAULT_MODEL
        folder = args.out or Path("build") / f"{model}-{UNTRAINED}"
        made = folder / f"{UNTRAINED}-{args.untrained}.safetensors"
        if (folder / artifact.MANIFEST).is_file() and not (
            made.is_file() and artifact.read(folder)["model"] == model
        ):  # before weights are drawn into it
            raise InputError(f"{folder} holds files of another checkpoint; give another --out, or remove it")
        side = SIDE if args.side is None else args.side
        if made.is_file() and (folder / artifact.MANIFEST).is_file() and load(made).preprocess.side != side:
            raise InputError(f"{folder} holds files of another --side than {side}; give another --out, or remove it")
        path = untrained(model, seed=args.untrained, side=side, folder=folder)
        return path, load(path)
    if args.side is not None:
        raise InputError("--side goes with --untrained; a checkpoint has the side that it was trained for")
    path = args.checkpoint or shipped(args.model or DEFAULT_MODEL)
    checkpoint = load(path)
    if args.model and args.model != checkpoint.model:
        family_name(args.model)
        raise InputError(f"{args.checkpoint} holds a {checkpoint.model}, not a {args.model}; drop --model or change it")
    return path, checkpoint


def answers_of(reference: Reference, images: np.ndarray, path: Path) -> Found:
    """What the float model says; InputError if that cannot be kept."""
    answers = reference.run_all(images)
    finite = np.isfinite(answers.probabilities).all(axis=1)
    if answers.masks is not None:
        finite &= np.isfinite(answers.masks).all(axis=(1, 2))
    broken = int((~finite).sum())
    if broken:
        raise InputError(
            f"{path}: the float model's answers are NaN or infinite on {broken} of {len(images)} images; "
            "its weights are damaged or its training diverged"
        )
    return answers


def manifest_to_extend(folder: Path, checkpoint: Checkpoint, names: list[str], *, force: bool) -> dict | None:
    """The manifest in `folder` if it is of the same checkpoint. InputError if something would be overwritten."""
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise InputError(f"{folder / there[0]} exists; replace it with --force, or give another --out")
    if not (folder / artifact.MANIFEST).exists():
        return None
    manifest = artifact.read(folder)
    if manifest["checkpoint_sha256"] == checkpoint.sha256:
        return manifest
    others = [entry["file"] for entry in manifest["files"] if entry["file"] not in names]
    if others:
        raise InputError(
            f"{folder} holds files of another checkpoint ({others[0]}); remove the folder or give another --out"
        )
    return None


def refuse_another_network(folder: Path, manifest: dict, answers: Found, names: list[str]) -> None:
    """InputError if files that stay in `folder` were made of the same weights by another forward pass.

    Nothing but its answers to the self test tells of that: code has no digest in a checkpoint.
    """
    stay = [entry["file"] for entry in manifest["files"] if entry["file"] not in names]
    earlier = np.array([entry["reference"] for entry in manifest["self_test"]], np.float64)
    if not stay or earlier.shape != answers.probabilities.shape:
        return
    apart = float(np.abs(earlier - answers.probabilities).max())
    if answers.masks is not None:
        before = [entry.get("reference_mask", np.nan) for entry in manifest["self_test"]]
        apart = max(apart, *(abs(mean - mean_of(mask)) for mean, mask in zip(before, answers.masks, strict=True)))
    if not apart <= SAME_ANSWER:
        raise InputError(
            f"{folder} holds {stay[0]}, made of these weights when the network's code was another: its answers to the "
            f"self test were {apart:.2g} from those it gives now. Remove the folder or give another --out"
        )


def describe_file(path: Path, result: Judged, form: Format, recipe: Recipe) -> dict:
    return {
        "file": path.name,
        "recipe": result.recipe,
        "for": recipe.purpose,
        "sha256": sha256(path),
        "bytes": size(path),
        "minimum_runtime": recipe.minimum_runtime,
        "parity": result.parity,
        **({"audit": result.audit} if result.audit else {}),
        **({"fine_tuned": result.fine_tuned} if result.fine_tuned else {}),
        **form.entry(result.recipe),
    }


def report(judged: list[Judged], folder: Path, seconds: float) -> int:
    """Say in words what failed and where things are."""
    if any(result.verdict == "fail" and not result.rejected for result in judged):
        screen().print(
            "a failed gate that does not bind is reported and the file kept; `dermedge parity` says how far it is"
        )
    for result in judged:
        for warning in (result.audit or {}).get("warnings", ()):
            screen().print(f"[yellow]{result.recipe}[/] {warning}", soft_wrap=True)
        for remark in result.remarks:
            screen().print(f"[bold]{result.recipe}[/] {remark}", soft_wrap=True)
    rejected = [result.recipe for result in judged if result.rejected]
    written = len(judged) - len(rejected)
    screen().print(f"{written} file(s) and {artifact.MANIFEST} in {folder}, {seconds:.0f} s; log: {folder / LOG}")
    if rejected:
        why = "the gate failed (or, with --strict, the audit warned) and the file was not kept"
        screen().print(f"[bold red]rejected[/] {', '.join(rejected)}: {why}")
        return GATE_FAILED
    return GOOD
