"""Model input and probabilities -> a class, "uncertain" or "retake": the last step of the chain.

Two questions, in this order. Is the picture fit to be judged? Nine whole numbers are computed from the model's input
bytes and compared with limits (`retake`). Is the model sure enough? Its largest probability is compared with a
threshold (`uncertain`). docs/decision.md specifies both so that any program can come to the same outcome; limits and
threshold live in the manifest (`decision`), where `dermedge decide --measure` has put what it measured.

An engineering aid, not a medical device: that a picture passes says nothing about the skin on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.checks import instance, number, shown, whole_between
from edge.errors import InputError
from edge.preprocess import MAX_INPUT_SIDE

if TYPE_CHECKING:
    from edge.manifest import Manifest

VERSION = "gate-2"  # of the measurements: it changes whenever the same picture would give other numbers
MIN_SIDE = 5  # pixels: differences over four of them are taken
CELLS = 16  # rows and columns of means in which a spot is looked for
LARGEST_RATIO = 9999
CLASS, UNCERTAIN, RETAKE = "class", "uncertain", "retake"
OUTCOMES = (CLASS, UNCERTAIN, RETAKE)
NEEDED = ("version", "side", "quality", "abstain_threshold")  # of a manifest's `decision`
SUM_TOLERANCE = 0.02  # of probabilities; fp16 arithmetic keeps three digits
TEMPERATURES = (0.2, 5.0)  # beyond, whatever it was fitted on was too small

# In the order of the checks: the first that fails is the reason. Measurement -> which side of the limit is refused
# ("min": less than the limit), and what a person is told.
CHECKS: dict[str, tuple[str, str]] = {
    "light": ("min", "too dark: find more light"),
    "clipped": ("max", "too bright: avoid glare and direct light"),
    "contrast": ("min", "nothing to be seen: bring the spot into the middle and keep the lens free"),
    "fine": ("min", "blurred: hold still and let the camera focus"),
    "coarse": ("min", "blurred or shaken: hold still and let the camera focus"),
    "busy": ("max", "too much fine structure for skin: go closer, and point at the spot"),
    "warm": ("min", "hardly any colour of skin: point at the spot, in white light"),
    "green": ("max", "too much green for skin: point at the spot, in white light"),
    "spot": ("min", "no spot to be seen: bring it into the middle and go closer"),
}
# What each measurement can be at most, and so its limit; all are whole numbers from 0 on.
LARGEST: dict[str, int] = {
    "light": 255,
    "clipped": 1000,
    "contrast": 255,
    "fine": LARGEST_RATIO,
    "coarse": LARGEST_RATIO,
    "busy": LARGEST_RATIO,
    "warm": 1000,
    "green": 1000,
    "spot": 255,
}


@dataclass(frozen=True)
class Measurements:
    """The gate's measurements of a picture. Whole numbers; shares and ratios in thousandths, rounded down.

    Raises InputError for numbers out of the ranges below.
    """

    light: int  # luma that a tenth of the pixels exceeds, 0..255
    clipped: int  # share of pixels of luma 250 and more, 0..1000
    contrast: int  # luma from the 5th to the 95th percentile, 0..255
    fine: int  # squared differences over 1 pixel against 2, the blurrier direction, 0..9999
    coarse: int  # over 1 pixel against 4, the blurrier direction, 0..9999
    busy: int  # over 1 pixel against 2, both directions together, 0..9999
    warm: int  # share of pixels whose red is the largest and which are not grey, 0..1000
    green: int  # share of pixels whose green is by far the largest, 0..1000
    spot: int  # how far a mean of the middle lies from what is usual at the border, luma, 0..255

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            object.__setattr__(self, name, whole_between(getattr(self, name), f"the measurement {name}", 0, most))


@dataclass(frozen=True)
class WithAnswers:
    """Thresholds that hold from so many answers beside the picture on, in place of those of nothing answered.

    Raises InputError for a number out of range.
    """

    start: int  # answers, 1 and more; `from` in the manifest
    abstain_threshold: float  # 0..1
    malignant_threshold: float | None = None  # 0..1; None: not measured
    temperature: float = 1.0  # of the probabilities that the file gives: `tempered`; 1: as they are

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", whole_between(self.start, "the answers that thresholds hold from", 1, 1000))
        check_points(self)


@dataclass(frozen=True)
class Thresholds:
    """What the manifest says: limits of the gate by measurement, and where the model is not sure enough.

    Raises InputError for a side, a limit or a threshold out of range or missing, and for labels that are no codes.
    """

    side: int  # pixels of the squares that the limits were measured on, 5 to 4096
    limits: Mapping[str, int]  # one per CHECKS, 0 to its LARGEST
    abstain_threshold: float  # 0..1; a largest probability below it is `uncertain`
    labels: tuple[str, ...]  # class codes in output order, at least two
    malignant_threshold: float | None = None  # 0..1, of the malignant classes' sum; None: not measured
    temperature: float = 1.0  # of the probabilities that the file gives: `tempered`; 1: as they are
    by_answers: tuple[WithAnswers, ...] = ()  # by `start`, ascending

    def __post_init__(self) -> None:
        side = whole_between(self.side, "the side that limits were measured on", MIN_SIDE, MAX_INPUT_SIDE, "pixels")
        check_points(self)
        starts = [entry.start for entry in self.by_answers]
        if starts != sorted(set(starts)):
            raise InputError(f"`by_answers` are in the order of the answers they hold from, each once, got {starts}")
        for name, checked in (
            ("side", side),
            ("limits", checked_limits(self.limits)),
            ("labels", checked_codes(self.labels)),
        ):
            object.__setattr__(self, name, checked)

    def for_answers(self, answered: int) -> Thresholds:
        """Those that hold where so many questions were answered, 0 and more (docs/answers.md)."""
        chosen = [entry for entry in self.by_answers if entry.start <= answered]
        if not chosen:
            return replace(self, by_answers=())
        own = chosen[-1]
        return replace(
            self, abstain_threshold=own.abstain_threshold, malignant_threshold=own.malignant_threshold,
            temperature=own.temperature, by_answers=(),
        )  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """One outcome. Raises InputError where its parts contradict each other."""

    outcome: str  # "class", "uncertain" or "retake"
    label: str | None  # the class code of outcome "class", else None
    reason: str  # one sentence for a person, whatever the outcome
    failed: tuple[str, ...]  # measurements that sent the picture back, most telling first; empty unless "retake"
    measurements: Measurements

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise InputError(f"an outcome is one of {', '.join(OUTCOMES)}, got {shown(self.outcome)}")
        if isinstance(self.label, str) != (self.outcome == CLASS) or bool(self.failed) != (self.outcome == RETAKE):
            raise InputError(
                f"only a class has a label and only a retake failed measurements, got {self.outcome} with label "
                f"{shown(self.label)} and failed {shown(self.failed)}"
            )


def measure(square_u8: np.ndarray) -> Measurements:
    """The gate's nine numbers of a model input: uint8 RGB (S, S, 3), S from 5 to 4096. Integers throughout.

    Raises InputError for anything else.
    """
    check_square(square_u8)
    r, g, b = (square_u8[..., c].astype(np.int32) for c in range(3))
    luma = (77 * r + 150 * g + 29 * b + 128) >> 8
    pixels = luma.size
    histogram = np.bincount(luma.ravel(), minlength=256)
    upto = np.cumsum(histogram)

    def percentile(p: int) -> int:
        """The luma at place (pixels - 1) p // 100 of all, sorted from dark to bright."""
        return int(np.searchsorted(upto, (pixels - 1) * p // 100, side="right"))

    def share(chosen: np.ndarray) -> int:
        return 1000 * int(np.count_nonzero(chosen)) // pixels

    (across1, down1), (across2, down2), (across4, down4) = (energies(luma, step) for step in (1, 2, 4))
    return Measurements(
        light=percentile(90),
        clipped=1000 * int(histogram[250:].sum()) // pixels,
        contrast=percentile(95) - percentile(5),
        fine=min(ratio(across1, across2), ratio(down1, down2)),
        coarse=min(ratio(across1, across4), ratio(down1, down4)),
        busy=ratio(across1 + down1, across2 + down2),
        warm=share((r > 0) & (r >= g) & (r >= b) & (16 * (r - np.minimum(g, b)) >= r)),
        green=share((g > r + 8) & (g > b + 8)),
        spot=spot(luma),
    )


def spot(luma: np.ndarray) -> int:
    """The largest difference of a cell's mean in the middle from the median of the cells along the border."""
    side = len(luma)
    cells = min(CELLS, side)
    begins = np.arange(cells) * side // cells
    sizes = np.diff(np.append(begins, side))
    sums = np.add.reduceat(np.add.reduceat(luma.astype(np.int64), begins, axis=0), begins, axis=1)
    means = sums // np.outer(sizes, sizes)
    border = np.ones((cells, cells), bool)
    border[1:-1, 1:-1] = False
    around = np.sort(means[border])
    middle = slice(cells // 4, cells - cells // 4)
    return int(np.abs(means[middle, middle] - around[(len(around) - 1) // 2]).max())


def energies(luma: np.ndarray, step: int) -> tuple[int, int]:
    """Sums of squared differences of luma between pixels `step` apart: in a row, in a column. At most 255^2 S^2."""
    across, down = luma[:, step:] - luma[:, :-step], luma[step:] - luma[:-step]
    return int(np.square(across).sum(dtype=np.int64)), int(np.square(down).sum(dtype=np.int64))


def ratio(near: int, far: int) -> int:
    """Thousandths, rounded down, at most 9999; a flat picture (both 0) gives 0."""
    return min(LARGEST_RATIO, 1000 * near // max(far, 1))


def faults(measured: Measurements, limits: Mapping[str, int]) -> tuple[str, ...]:
    """The measurements beyond their limit, in the order of CHECKS. A value equal to the limit is good.

    Raises InputError for a limit that is missing or out of range.
    """
    instance(measured, "measured", Measurements, "Measurements; `edge.decision.measure` gives them")
    limits = checked_limits(limits)
    values = asdict(measured)
    return tuple(
        name
        for name, (kind, _) in CHECKS.items()
        if (values[name] < limits[name] if kind == "min" else values[name] > limits[name])
    )


def retake(square_u8: np.ndarray, thresholds: Thresholds) -> Decision | None:
    """The outcome of a model input, uint8 RGB (S, S, 3), that fails the gate; None if it passes.

    For looking at a picture before the model is run. Raises InputError if the square is not of the side that the limits
    were measured on, or thresholds that are None: a manifest without `decision` has no gate.
    """
    check_thresholds(thresholds)
    measured = measure(square_u8)
    if len(square_u8) != thresholds.side:
        raise InputError(
            f"the limits hold for squares of {thresholds.side} pixels, got {len(square_u8)}; "
            "give the model's own input (edge.preprocess.to_input)"
        )
    failed = faults(measured, thresholds.limits)
    return Decision(RETAKE, None, CHECKS[failed[0]][1], failed, measured) if failed else None


def decide(square_u8: np.ndarray, probabilities: np.ndarray, thresholds: Thresholds) -> Decision:
    """The outcome for one model input, uint8 RGB (S, S, 3), and what the model says of it, float (K,).

    `retake` if the picture fails the gate, whatever the model says; else `uncertain` if the largest probability is
    less than `thresholds.abstain_threshold`; else `class`, the first class of the largest probability. Raises
    InputError if the square is not of the side that the limits were measured on, the probabilities are not K finite
    numbers of 0 to 1 that add up to 1 (both within SUM_TOLERANCE), or the thresholds are None. Errors come before any
    outcome. With answers beside the picture give `thresholds.for_answers`, and probabilities of `tempered`.
    """
    back = retake(square_u8, thresholds)
    answer = checked(probabilities, len(thresholds.labels))
    if back:
        return back
    measured = measure(square_u8)
    best = int(answer.argmax())
    sure, code = float(answer[best]), thresholds.labels[best]
    if sure < thresholds.abstain_threshold:
        reason = f"not sure enough: {code} with {sure:.1%}, answers begin at {thresholds.abstain_threshold:.1%}"
        return Decision(UNCERTAIN, None, reason, (), measured)
    return Decision(CLASS, code, f"{code} with {sure:.1%}", (), measured)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities, float (K,), as a graph with this times its own temperature would give them; 1: as they are.

    Each to the power of 1 / temperature, then all divided by their sum. What is below 0 within the tolerance is 0.
    Raises InputError for what are no probabilities, as `decide`.
    """
    if temperature == 1.0:
        return probabilities
    powers = np.maximum(checked(probabilities, len(probabilities)), 0.0) ** (1.0 / temperature)
    return powers / powers.sum()


def counts_as_malignant(
    probabilities: np.ndarray, thresholds: Thresholds, malignant: Sequence[bool | None]
) -> bool | None:
    """Whether the malignant classes together reach the threshold; None where there is none.

    `probabilities`: float (K,), after `tempered`. `malignant`: by class; one of which it is unknown does not count.
    """
    if thresholds.malignant_threshold is None:
        return None
    total = sum(float(p) for p, flag in zip(probabilities, malignant, strict=True) if flag)
    return total >= thresholds.malignant_threshold


def check_points(points: Thresholds | WithAnswers) -> None:
    """Numbers as floats; InputError for one that is out of range."""
    for name in ("abstain_threshold", "malignant_threshold"):
        value = getattr(points, name)
        if value is None and name == "malignant_threshold":
            continue
        threshold = number(value, name)
        if not 0 <= threshold <= 1:
            raise InputError(f"`{name}` is a probability of 0 to 1, got {threshold}")
        object.__setattr__(points, name, threshold)
    temperature, (low, high) = number(points.temperature, "temperature"), TEMPERATURES
    if not low <= temperature <= high:
        raise InputError(f"`temperature` is {low} to {high}, got {temperature}")
    object.__setattr__(points, "temperature", temperature)


def check_thresholds(thresholds: object) -> None:
    advice = (
        "decision.Thresholds; where a manifest has none (`decision.of_manifest` gives None) there is no gate to ask"
    )
    instance(thresholds, "thresholds", Thresholds, advice)


def checked_limits(limits: object) -> dict[str, int]:
    """A limit for every check and nothing else, each within what its measurement can be; InputError otherwise."""
    if not isinstance(limits, Mapping):
        raise InputError(f"limits are a mapping of {', '.join(CHECKS)} to whole numbers, got {shown(limits)}")
    missing, strange = [name for name in CHECKS if name not in limits], [name for name in limits if name not in CHECKS]
    if missing or strange:
        wrong = [f"without {', '.join(missing)}"] if missing else []
        wrong += [f"with {', '.join(map(str, strange))}, which no check has"] if strange else []
        raise InputError(f"limits are of {', '.join(CHECKS)}; got them {' and '.join(wrong)}")
    return {name: whole_between(limits[name], f"the limit of {name}", 0, LARGEST[name]) for name in CHECKS}


def checked_codes(labels: object) -> tuple[str, ...]:
    """Two or more class codes that differ; InputError otherwise."""
    codes = tuple(labels) if isinstance(labels, list | tuple) else ()
    if len(codes) < 2 or not all(isinstance(code, str) and code for code in codes) or len(set(codes)) < len(codes):
        raise InputError(f"labels are two or more class codes, each once, in output order, got {shown(labels)}")
    return codes


def check_square(square_u8: np.ndarray) -> None:
    is_array = isinstance(square_u8, np.ndarray)
    side = len(square_u8) if is_array and square_u8.ndim else 0
    if not MIN_SIDE <= side <= MAX_INPUT_SIDE or square_u8.shape != (side, side, 3) or square_u8.dtype != np.uint8:
        came = f"{square_u8.dtype} {square_u8.shape}" if is_array else type(square_u8).__name__
        raise InputError(
            f"expected a model input as uint8 RGB (S, S, 3), S from {MIN_SIDE} to {MAX_INPUT_SIDE}, got {came}; "
            "edge.preprocess.to_input makes one"
        )


def checked(probabilities: np.ndarray, classes: int) -> np.ndarray:
    """float64 (K,) of one image's probabilities; InputError if they are none."""
    try:
        answer = np.asarray(probabilities)
    except (TypeError, ValueError) as error:  # lists of unequal length
        raise InputError(
            f"expected the probabilities of one image, float ({classes},), got {shown(probabilities)}"
        ) from error
    if answer.dtype.kind != "f" or answer.shape != (classes,):
        raise InputError(
            f"expected the probabilities of one image, float ({classes},), got {answer.dtype} {answer.shape}"
        )
    answer = answer.astype(np.float64)
    inside = np.isfinite(answer).all() and answer.min() >= -SUM_TOLERANCE and answer.max() <= 1 + SUM_TOLERANCE
    if not inside or abs(float(answer.sum()) - 1) > SUM_TOLERANCE:
        raise InputError(
            f"expected {classes} probabilities that add up to 1, got {np.round(answer[:8], 4).tolist()}; "
            "give what the file answers (softmax is inside it), not logits or bytes"
        )
    return answer


def of_manifest(manifest: Manifest) -> Thresholds | None:
    """The thresholds of a checked manifest; None where it has none (older ones, own checkpoints not yet measured)."""
    from edge.manifest import Manifest

    instance(manifest, "manifest", Manifest, "a Manifest; `dermedge.open_build` gives one")
    return None if manifest.decision is None else thresholds_of(manifest.decision, manifest.codes)


def thresholds_of(section: Mapping[str, Any], labels: list[str] | tuple[str, ...]) -> Thresholds:
    """From a manifest's `decision`; keys that are not of the rule are ignored. InputError for what is missing."""
    if not isinstance(section, Mapping):
        raise InputError(f"a manifest's `decision` is an object with {', '.join(NEEDED)}, got {shown(section)}")
    if section.get("version") != VERSION:
        raise InputError(
            f"the thresholds are of {section.get('version')!r}, this dermedge measures {VERSION!r}; "
            "measure again with `dermedge decide --measure` and convert again"
        )
    missing = [name for name in NEEDED if name not in section]
    if missing:
        raise InputError(
            f"a manifest's `decision` has {', '.join(NEEDED)}; {', '.join(missing)} is missing. Measure again with "
            "`dermedge decide --measure` and convert again"
        )
    return Thresholds(
        section["side"], section["quality"], section["abstain_threshold"], checked_codes(labels),
        section.get("malignant_threshold"), by_answers=tuple(map(with_answers_of, section.get("by_answers", ()))),
    )  # fmt: skip


def with_answers_of(entry: Mapping[str, Any]) -> WithAnswers:
    """From an entry of a manifest's `by_answers`."""
    if not isinstance(entry, Mapping) or not {"from", "abstain_threshold"} <= entry.keys():
        raise InputError(f"an entry of `by_answers` has from and abstain_threshold, got {shown(entry)}")
    return WithAnswers(
        entry["from"], entry["abstain_threshold"], entry.get("malignant_threshold"), entry.get("temperature", 1.0)
    )
