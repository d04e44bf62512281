"""A checkpoint and what its runs gave on unseen patients -> the model card, Markdown. It has measured figures only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge.checkpoint import Checkpoint
from edge.manifest import INTENDED_USE
from edge.metrics.statistics import Estimate
from edge.models.cost import cost
from edge.questions.training.groups import FEW_PATIENTS, Group
from train._answer_figures import BOTH, CASES, IMAGE, KINDS, figures_of
from train._summary import interval, summarise

from ._evidence import Evidence
from ._reproduce import OWN_START, command_of, starts_from_ours
from ._subgroups import Confounds
from ._unseen import Unseen

# of a recipe's entry; what is put into words
LEFT_OUT = {
    "model",
    "folds",
    "fold",
    "held_back",
    "split_seed",
    "init",
    "answers",
    "sets",
    "seconds",
    "stored",
    "teachers",
}


def card(checkpoint: Checkpoint, evidence: Evidence, remarks: str) -> str:
    """`checkpoint` as it is shipped, read back from its file. Headings of `remarks` begin with ##."""
    unseen = evidence.unseen
    summary = summarise(unseen.targets, unseen.patients, unseen.logits[IMAGE], unseen.photos.classes)
    kinds = figures_of(unseen.logits, unseen.targets, unseen.patients, unseen.photos.classes)
    parts = [
        f"# {checkpoint.model}",
        "This card describes the checkpoint that comes with dermedge: its data, its figures and its limits.",
        INTENDED_USE,
        "## What it is",
        bullets(what_it_is(checkpoint, evidence.stored)),
        "## Data",
        bullets(describe_data(part) for part in checkpoint.data),
        "Patients by role in this checkpoint (the ids are in its JSON):",
        patients_table(checkpoint),
        "## How good it is",
        judged_in_words(checkpoint, evidence),
        figures_table(summary, kinds[IMAGE], evidence.validation),
        by_fold(evidence.validation),
        *with_answers(checkpoint, kinds, unseen),
        *masks(checkpoint, evidence.validation),
        *by_subgroup(evidence.subgroups),
        *by_confound(evidence.confounds),
        remarks.strip(),
        "## Recipe",
        *again(checkpoint, evidence),
        bullets(f"{name}: {value}" for name, value in checkpoint.recipe.items() if name not in LEFT_OUT),
        split_in_words(checkpoint.recipe),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def what_it_is(checkpoint: Checkpoint, stored: Mapping[str, Any]) -> list[str]:
    pre = checkpoint.preprocess
    parameters, macs = cost(checkpoint.network(), pre.side)
    lines = [
        f"{checkpoint.model}, {len(checkpoint.labels)} classes: "
        + ", ".join(f"{x.code} ({x.name}{', malignant' if x.malignant else ''})" for x in checkpoint.labels),
        f"{parameters / 1e6:.2f} million parameters, {macs / 1e6:.0f} million multiply-accumulates for an image",
        f"input: RGB, {pre.side} x {pre.side} pixels, centred square crop, preprocessing `{pre.version}`",
        f"output: softmax of the logits divided by {checkpoint.temperature:.3f}, fitted on held-back patients"
        + loss_in_words(checkpoint.recipe),
    ]
    if checkpoint.questions:
        lines.append(
            f"with `--answers` a second input, {len(checkpoint.questions)} questions: "
            f"{', '.join(question.id for question in checkpoint.questions)} (docs/answers.md); the file without it is "
            "the same network with nothing answered"
        )
    return [*lines, stored_in_words(stored), f"weights: SHA-256 `{checkpoint.sha256}`"]


def loss_in_words(recipe: Mapping[str, Any]) -> str:
    """What the loss does to the probabilities, where it was adjusted for how frequent the classes are."""
    if recipe.get("balance") != 1:
        return ""
    return (
        "; the loss was adjusted for the classes' shares, so that the probabilities are right where all classes are "
        "equally frequent"
    )


def stored_in_words(stored: Mapping[str, Any]) -> str:
    if "images" not in stored:
        return f"weights are stored in {stored['precision']}: {stored['because']}"
    sqnr = "all logits equal" if stored["sqnr_db_median"] is None else f"median SQNR {stored['sqnr_db_median']:.1f} dB"
    masks = f", masks' median Dice {stored['dice_median']:.4f}" if "dice_median" in stored else ""
    cases = " with no, some and all questions answered" if stored["cases_of_answers"] > 1 else ""
    judged = (
        f"on {stored['images']} unseen images{cases}, classes that change: {stored['classes_changed']}, {sqnr}, no "
        f"probability moves by more than {stored['largest_delta_p']:.4f}{masks}"
    )
    if stored["precision"] == "float16":
        return f"weights are stored in half precision and computed with in float32; against the trained ones {judged}"
    return f"weights are stored in float32, because half precision changes answers: {judged}"


def patients_table(checkpoint: Checkpoint) -> str:
    roles = ("trained", "held_back", "unseen")
    domains = sorted({domain for role in roles for domain in getattr(checkpoint, role)})
    return table(
        ["set", "trained on", "held back", "unseen"],
        [[domain, *(count(getattr(checkpoint, role).get(domain)) for role in roles)] for domain in domains],
    )


def judged_in_words(checkpoint: Checkpoint, evidence: Evidence) -> str:
    unseen, fold = evidence.unseen, checkpoint.recipe.get("fold")
    who = f"{len(unseen.photos)} photographs of {len(set(unseen.patients))} patients of {unseen.photos.name}"
    how = (
        "Intervals are 95 %: patients resampled for balanced accuracy and area under the ROC curve, Wilson's otherwise."
    )
    if evidence.validation:
        return (
            f"Out of fold: {who}, each judged by the one of {unseen.folds} models that never saw the patient "
            f"(`dermedge cross-validate`, recipe below; the shipped weights are the model of fold {fold}). {how}"
        )
    return (
        f"Of one fold: {who}, fold {fold} of {checkpoint.recipe.get('folds')}, which the model never saw. "
        f"There is no cross-validation of this recipe, so another fold may give other figures. {how}"
    )


def figures_table(summary: Mapping[str, Any], image: Mapping[str, Any], validation: Mapping[str, Any] | None) -> str:
    rows = [
        ["**balanced accuracy**", *cells(summary["balanced_accuracy"])],
        ["accuracy", f"{summary['accuracy']:.3f}", ""],
        ["malignant against benign: area under the ROC curve", *cells(image["malignant_auc"])],
        *(
            [f"malignant against benign: {name}", *cells(value)]
            for name, value in summary.get("malignant", {}).items()
            if name != "auc"  # the row above
        ),
        *(
            [f"sensitivity {code} ({value['images']} photographs)", *cells(value)]
            for code, value in summary["sensitivity"].items()
        ),
        ["expected calibration error", f"{summary['calibration_error']:.3f}", ""],
    ]
    for name, own in (validation or {}).get("baselines", {}).items():
        rows.append([f"baseline, {name}: balanced accuracy", *cells(own["balanced_accuracy"])])
    return table(["figure", "value", "95 % interval"], rows)


def by_fold(validation: Mapping[str, Any] | None) -> str:
    if not validation:
        return ""
    values = [f"{fold['unseen']['balanced_accuracy']['value']:.3f}" for fold in validation["by_fold"]]
    return f"By fold, balanced accuracy: {', '.join(values)}."


def with_answers(checkpoint: Checkpoint, kinds: Mapping[str, Any], unseen: Unseen) -> list[str]:
    """What answers add; nothing where none were fitted, or no run kept their logits."""
    if BOTH not in kinds:
        return []
    rows = [
        [name, *cells(kinds[kind]["balanced_accuracy"]), *cells(kinds[kind]["malignant_auc"])]
        for kind, name in KINDS.items() if kind in kinds
    ]  # fmt: skip
    lost = kinds[BOTH]["loss_to_image"]
    return [
        "### With answers",
        table(["of", "balanced accuracy", "95 % interval", "malignant AUC", "95 % interval"], rows),
        f"Image and answers against image only, the same photographs: {-lost['value']:+.3f} of balanced accuracy, "
        f"one-sided 95 % bounds {-lost['high']:+.3f} and {-lost['low']:+.3f}.",
        *thresholds_by_case(checkpoint.metrics.get("answers", {})),
    ]


def thresholds_by_case(figures: Mapping[str, Any]) -> list[str]:
    """Whether what was chosen with nothing answered holds with answers, on the unseen patients of this checkpoint."""
    cases = figures.get("cases", {})
    if not set(CASES) <= set(cases):
        return []
    names = {"coverage": "answered", "sensitivity": "malignant found", "specificity": "benign let pass"}
    header = ["answers given", "calibration error", "with its own temperature"]
    header += [f"{name}, {own}" for name in names.values() for own in ("none's threshold", "its own")]
    rows = [
        [case, f"{own['calibration_error']:.3f}", f"{own['calibration_error_refitted']:.3f}",
         *(share(own.get(f"{name}_{whose}")) for name in names for whose in ("none", "own"))]
        for case, own in cases.items()
    ]  # fmt: skip
    return [
        "Thresholds that were chosen on held-back patients to answer 0.9 of the photographs and to find 0.9 of the "
        "malignant lesions, with nothing answered (`none`) and for each case (`own`), judged on this checkpoint's own "
        "unseen patients:",
        table(header, rows),
    ]


def masks(checkpoint: Checkpoint, validation: Mapping[str, Any] | None) -> list[str]:
    """How near the masks are to drawn ones, by set: out of fold where a cross-validation has it, else of this fold."""
    pooled = (validation or {}).get("masks")
    figures = pooled or checkpoint.metrics.get("unseen", {}).get("masks") or {}
    by_set = {"unseen": figures} if "dice_mean" in figures else figures
    rows = []
    for name, own in by_set.items():
        interval = f"{own['dice_mean_low']:.3f} to {own['dice_mean_high']:.3f}" if "dice_mean_low" in own else ""
        rows.append([
            name, f"{own['images']:.0f}", str(own.get("patients", "")), f"**{own['dice_mean']:.3f}**", interval,
            f"{own['dice_median']:.3f}", f"{own['iou_mean']:.3f}", f"{own['boundary_px_median']:.1f}",
        ])  # fmt: skip
    header = ["set", "images", "patients or sessions", "mean Dice", "95 % interval", "median Dice", "mean IoU",
              "boundary, median px"]  # fmt: skip
    if not rows:
        return []
    whose = "each image by a model that never saw it" if pooled else "on the unseen images of this checkpoint"
    return ["### Masks", f"Against the masks that people drew, {whose}:", table(header, rows)]


def by_subgroup(subgroups: Mapping[str, Sequence[Group]]) -> list[str]:
    """Balanced accuracy and malignancy in parts of the photographs, by picture alone."""
    if not subgroups:
        return ["### Subgroups", "No table says age, sex, place on the body or skin type of these photographs."]
    few = any(own.few for groups in subgroups.values() for own in groups)
    return [
        "### Subgroups",
        "By the picture alone. The balanced accuracy of a group is over the classes that occur in it, so that groups "
        "of other classes do not compare."
        + (f" † fewer than {FEW_PATIENTS} patients: says little, whatever the figure." if few else ""),
        group_table(subgroups),
    ]


def by_confound(confounds: Confounds) -> list[str]:
    """What differs between the classes and is no property of the skin, and how good the network is apart from it."""
    alone = "; ".join(f"{name} {in_words(area)}" for name, area in confounds.alone.items())
    return [
        "### Known confounds",
        f"What is no property of the skin and differs between the classes. Of that alone, without any network, the "
        f"area under the ROC curve for malignancy (0.5: it says nothing): {alone}. Sharpness is that of the model's "
        "own input (`fine` of docs/decision.md). The network in and out of these groups:",
        group_table(confounds.groups),
    ]


def group_table(subgroups: Mapping[str, Sequence[Group]]) -> str:
    rows = []
    for name, groups in subgroups.items():
        for own in groups:
            rows.append([
                f"{name}: {own.name}{' †' if own.few else ''}", str(own.photographs), str(own.patients),
                f"{own.malignant / own.photographs:.0%}", f"{in_words(own.balanced_accuracy)} of {own.classes}",
                in_words(own.sensitivity), in_words(own.specificity),
            ])  # fmt: skip
    header = ["group", "photographs", "patients", "malignant", "balanced accuracy, of classes",
              "sensitivity, malignant", "specificity"]  # fmt: skip
    return table(header, rows)


def again(checkpoint: Checkpoint, evidence: Evidence) -> list[str]:
    """The command, what it starts from, and how long it took."""
    parts = ["The command that trains it again:", f"```sh\n{evidence.command}\n```"]
    start = checkpoint.recipe.get("init") or {}
    if starts_from_ours(checkpoint.recipe):
        own = start["recipe"]
        parts += [
            f"It starts from {OWN_START}, a {own['model']} with the SHA-256 `{start['sha256'][:16]}…`, which was "
            "trained by:",
            f"```sh\n{command_of(own, own.get('sets') or ['…'], answers=False, folds=1)}\n```",
        ]
    elif start:
        parts.append(f"It starts from {start['recipe'].get('imported_from')}, SHA-256 `{start['sha256'][:16]}…`.")
    taught = [f"{own['model']} (SHA-256 `{own['sha256'][:16]}…`)" for own in checkpoint.recipe.get("teachers", [])]
    if taught:
        parts.append(f"Its teachers: {', '.join(taught)}.")
    if evidence.seconds:
        minutes = [f"{seconds / 60:.0f}" for seconds in evidence.seconds]
        fold = "a fold, in their order: " if len(minutes) > 1 else ""
        parts.append(f"The training steps took, in minutes, {fold}{', '.join(minutes)}.")
    return parts


def describe_data(part: Mapping[str, Any]) -> str:
    kind = " (**synthetic**, drawn by computer)" if part.get("synthetic") else ""
    shares = ", ".join(f"{code} {n}" for code, n in part.get("classes", {}).items() if n)
    origin = f"licence {part.get('licence', 'unknown')}; SHA-256 `{part.get('sha256', '')[:16]}…`"
    return (
        f"{part['name']}{kind}: {part['images']} images to learn from, {part['patients']} patients or sessions "
        f"({shares or 'no classes'}); {origin}"
    )


def split_in_words(recipe: Mapping[str, Any]) -> str:
    return (
        f"Split: {recipe.get('folds')} patient-level folds, fold {recipe.get('fold')} unseen, a share of "
        f"{recipe.get('held_back')} of the other patients held back, seed {recipe.get('split_seed')}."
    )


def count(listed: Mapping[str, Sequence[str]] | None) -> str:
    return f"{len(listed['patients'])} ({len(listed['images'])} images)" if listed else "0"


def cells(value: Mapping[str, Any]) -> list[str]:
    if value["value"] is None:
        return ["not defined", ""]
    return [f"{value['value']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"]


def in_words(estimate: Estimate) -> str:
    """`value [low, high]` with two places after the point."""
    value = interval(estimate)
    return "–" if value["value"] is None else f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"* {item}" for item in items)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
