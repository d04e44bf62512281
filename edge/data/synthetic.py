"""A sample of computer-drawn lesion photographs in the layout of PAD-UFES-20, so that the chain runs without data.

It imitates what a smartphone does to a picture (framing, light, white balance, blur, noise, JPEG, EXIF
orientation), and of the six diagnoses only what a textbook says in a line each. It proves nothing about skin.

A lesion is drawn once as a patch of skin with colour, relief and gloss; every photograph of it is that
patch under another camera and light. All randomness comes from (seed, lesion) and (seed, lesion, photograph),
so that the same seed gives the same files with the same library versions on the same kind of CPU.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.errors import InputError
from edge.files import moved_into_place

COLUMNS = (
    "patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age", "pesticide",
    "gender", "skin_cancer_history", "cancer_history", "has_piped_water", "has_sewage_system", "fitspatrick",
    "region", "diameter_1", "diameter_2", "diagnostic", "itch", "grew", "hurt", "changed", "bleed", "elevation",
    "img_id", "biopsed",
)  # fmt: skip  # the official order and spelling
REGIONS = ("ARM", "NECK", "FACE", "HAND", "FOREARM", "CHEST", "NOSE", "THIGH", "SCALP", "EAR", "BACK", "FOOT",
           "ABDOMEN", "LIP")  # fmt: skip
BACKGROUNDS = ("POMERANIA", "GERMANY", "ITALY", "PORTUGAL", "BRAZIL", "BRASIL")
SHARES = {"ACK": 0.18, "BCC": 0.20, "MEL": 0.14, "NEV": 0.19, "SCC": 0.13, "SEK": 0.16}  # roughly balanced, not equal
MIN_PATIENTS, MAX_PATIENTS = len(SHARES), 10_000  # fewer, and a class would be missing

NOTICE = """\
SYNTHETIC - these photographs are drawn by a computer (edge/data/synthetic.py, seed {seed}).

They show no person and no disease. Whatever is measured on them tells whether software runs; it proves
nothing about skin, about diagnoses, or about how a model does on photographs of people.

Layout and columns are those of PAD-UFES-20 (doi:10.17632/zr7vgbcyr2.1); no file or value is taken from it.
No column but `diagnostic` depends on the class, nor does which cells are blank.
"""

PATCH = 1100  # pixels of a drawn patch of skin, a side
WINDOW = 500  # pixels of the patch along the short side of an average photograph
SIZES = ((960, 1280), (840, 1120), (900, 1200), (1080, 1440), (960, 960))  # upright width, height of the files
WORK = 0.5  # photographs are lit and blurred at this share of their size: phones' pictures are no sharper
QUALITY = 88  # JPEG, what phones commonly use
UPRIGHT, UPSIDE_DOWN, QUARTER_RIGHT, QUARTER_LEFT = 1, 3, 6, 8  # EXIF orientation

Rng = np.random.Generator


@dataclass(frozen=True)
class Lesion:
    """One row of the plan: what is drawn and how often it is photographed."""

    patient: int
    number: int
    code: str
    photos: int


@dataclass
class Patch:
    """A drawn piece of skin, float32: colour (PATCH, PATCH, 3) sRGB 0..1, relief and gloss (PATCH, PATCH)."""

    colour: np.ndarray
    relief: np.ndarray
    gloss: np.ndarray


@dataclass(frozen=True)
class Spot:
    """Where a lesion lies, in a square of the patch, and noise to paint with; all float32 of one shape."""

    where: tuple[slice, slice]
    depth: np.ndarray  # 1 in the middle, 0 at the border, negative outside
    coarse: np.ndarray  # noise of unit variance; blobs of about a third of the lesion
    middle: np.ndarray
    fine: np.ndarray
    lean: np.ndarray  # -1..1 across the lesion, in a random direction


def write_sample(
    folder: Path, *, seed: int = 0, patients: int = 48, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Draw the sample into a new `folder` and return it; about 4.7 photographs and 0.7 MB per patient.

    Writes `metadata.csv`, `images/imgs_part_{1,2,3}/*.jpg` and `SYNTHETIC.txt`, all or nothing.
    `on_progress(done, total)` is called after every photograph. Raises InputError if `folder` exists.
    """
    folder = Path(folder)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_whole("patients", patients, MIN_PATIENTS, MAX_PATIENTS)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists; the synthetic sample is written to a new folder only. Name another one")
    lesions = plan(seed, patients)
    total, done = sum(lesion.photos for lesion in lesions), 0
    with moved_into_place(folder) as work:
        for part in range(1, 4):
            (work / f"images/imgs_part_{part}").mkdir(parents=True)
        rows = []
        grain = Noise(seed)
        for lesion in lesions:
            patch, diameter = draw_patch(np.random.default_rng((seed, lesion.number)), lesion, grain, seed)
            facts = describe(seed, lesion, diameter)
            for shot in range(lesion.photos):
                rng = np.random.default_rng((seed, lesion.number, shot))
                name = f"SYN_{seed}_{lesion.patient}_{lesion.number}_{rng.integers(10, 100)}{shot}.jpg"
                save(photograph(rng, patch, grain), rng, work / f"images/imgs_part_{lesion.patient % 3 + 1}" / name)
                rows.append(facts | {"img_id": name})
                done += 1
                if on_progress:
                    on_progress(done, total)
        with (work / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        (work / "SYNTHETIC.txt").write_text(NOTICE.format(seed=seed), encoding="utf-8")
    return folder


def check_whole(what: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{what} of the synthetic sample: expected a whole number of {low} to {high}, got {value!r}")


# --- the plan and the table ---


def plan(seed: int, patients: int) -> list[Lesion]:
    """Who has which lesions: 1 to 3 per patient, 2 or 3 photographs each, the classes shared out by SHARES."""
    rng = np.random.default_rng((seed, 0x504C414E))
    # 35 % of the patients have one, 40 % two, the rest three, so that every seed gives about as many photographs.
    have = np.searchsorted((0.35, 0.75), rng.permutation(patients) / patients, side="right") + 1
    owners = np.repeat(np.arange(1, patients + 1), have)
    # Largest remainders of the shares, after one lesion of every class.
    exact = np.array(list(SHARES.values())) * len(owners)
    counts = np.maximum(np.floor(exact).astype(int), 1)
    while counts.sum() > len(owners):
        counts[np.argmax(counts)] -= 1
    for _ in range(len(owners) - counts.sum()):
        counts[np.argmax(exact - counts)] += 1
    codes = rng.permutation(np.repeat(list(SHARES), counts))
    shots = 2 + rng.permutation(len(owners)) % 2
    return [
        Lesion(int(owner), number, str(code), int(photos))
        for number, (owner, code, photos) in enumerate(zip(owners, codes, shots, strict=True), start=1)
    ]


def describe(seed: int, lesion: Lesion, diameter: float) -> dict[str, object]:
    """The table's values for one lesion, without `img_id`. `diameter`: share of an average photograph's short side."""
    person = np.random.default_rng((seed, lesion.patient, 0x50414745))
    rng = np.random.default_rng((seed, lesion.number, 0x54414753))

    def yes(generator: Rng, chance: float) -> bool:
        return bool(generator.random() < chance)

    history: dict[str, object] = {
        "smoke": yes(person, 0.2),
        "drink": yes(person, 0.3),
        "background_father": str(person.choice(BACKGROUNDS)),
        "background_mother": str(person.choice(BACKGROUNDS)),
        "pesticide": yes(person, 0.4),
        "gender": str(person.choice(("FEMALE", "MALE"))),
        "skin_cancer_history": yes(person, 0.4),
        "cancer_history": yes(person, 0.4),
        "has_piped_water": yes(person, 0.7),
        "has_sewage_system": yes(person, 0.6),
        "fitspatrick": float(1 + np.floor(6 * skin_darkness(seed, lesion.patient))),
    }
    if yes(person, 0.35):  # in the real table whole histories are blank; there it tells the class, here a coin does
        history = dict.fromkeys(history, "")
    millimetres = 40 * diameter * rng.uniform(0.9, 1.1, 2)
    diameters: dict[str, object] = {
        "diameter_1": round(float(millimetres.max())),
        "diameter_2": round(float(millimetres.min())),
    }
    if yes(rng, 0.3):
        diameters = dict.fromkeys(diameters, "")
    answers = ("True", "False", "UNK")
    signs = {name: str(rng.choice(answers, p=(0.35, 0.55, 0.1))) for name in COLUMNS[18:24]}
    return {
        "patient_id": f"SYN_{seed}_{lesion.patient}",
        "lesion_id": lesion.number,
        "age": int(person.integers(18, 92)),
        "region": str(rng.choice(REGIONS)),
        "diagnostic": lesion.code,
        "biopsed": yes(rng, 0.58),  # the official share, but of every class: the real column gives cancers away
        **history,
        **diameters,
        **signs,
    }


def skin_darkness(seed: int, patient: int) -> float:
    """0 (very fair) to 1 (very dark), a trait of the patient and of nothing else."""
    return float(np.random.default_rng((seed, patient, 0x534B494E)).beta(1.2, 1.6))


# --- noise ---


class Noise:
    """Tiles of smooth noise, computed once; a random piece of one is a new field for next to nothing."""

    TILE = 1536

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0x4E4F4953))
        self.tiles = {scale: self.tile(rng, scale) for scale in (1.2, 2.5, 6, 14, 36, 110)}
        # Sensor noise, partly common to the channels.
        common = rng.standard_normal((self.TILE, self.TILE, 1), np.float32)
        own = rng.standard_normal((self.TILE, self.TILE, 3), np.float32)
        grains = cv2.GaussianBlur(0.8 * common + 0.6 * own, (0, 0), 0.8)
        self.sensor = np.asarray(grains / grains.std(), np.float32)

    def tile(self, rng: Rng, scale: float) -> np.ndarray:
        """Gaussian noise of unit variance whose blobs are about `scale` pixels wide."""
        step = max(1, int(scale / 3))
        small = rng.standard_normal((self.TILE // step + 1,) * 2, np.float32)
        blurred = cv2.GaussianBlur(small, (0, 0), scale / step, borderType=cv2.BORDER_REFLECT)
        large = cv2.resize(blurred, (self.TILE, self.TILE), interpolation=cv2.INTER_CUBIC)
        return (large - large.mean()) / large.std()

    def field(self, rng: Rng, side: int, scale: float) -> np.ndarray:
        """float32 (side, side) of about the given scale: a piece of the nearest tile, flipped at random."""
        nearest = min(self.tiles, key=lambda known: abs(np.log(known / scale)))
        top, left = rng.integers(0, self.TILE - side + 1, 2)
        piece = self.tiles[nearest][top : top + side, left : left + side]
        return piece[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


# --- skin ---

# sRGB of skin from very fair to very dark, set by eye against photographs with the Fitzpatrick types I, III, V and VI.
TONES = np.array([(233, 198, 182), (214, 168, 140), (168, 118, 88), (106, 70, 52)], np.float32) / 255


def draw_patch(rng: Rng, lesion: Lesion, noise: Noise, seed: int) -> tuple[Patch, float]:
    """A patch of skin with the lesion in its middle, and the lesion's diameter as a share of a photograph."""
    darkness = skin_darkness(seed, lesion.patient)
    patch = draw_skin(rng, darkness, noise)
    diameter = float(np.exp(rng.uniform(np.log(0.22), np.log(0.55))))
    draw_lesion(rng, lesion.code, patch, diameter * WINDOW, darkness, noise)
    draw_hairs(rng, patch, darkness)
    if rng.random() < 0.12:
        draw_pen(rng, patch, diameter * WINDOW)
    return patch, diameter


def draw_skin(rng: Rng, darkness: float, noise: Noise) -> Patch:
    tone = np.array([np.interp(darkness * 3, range(4), TONES[:, c]) for c in range(3)], np.float32)
    tone *= rng.uniform(0.95, 1.04, 3).astype(np.float32)

    def some(scale: float, least: float, most: float) -> np.ndarray:
        return noise.field(rng, PATCH, scale) * np.float32(rng.uniform(least, most))

    light = 1 + some(110, 0.01, 0.05) + some(36, 0, 0.03) + some(6, 0.005, 0.025) + some(2.5, 0.005, 0.02)
    redness = some(110, 0.005, 0.04) + some(14, 0.005, 0.02)
    colour = np.empty((PATCH, PATCH, 3), np.float32)
    for channel, share in enumerate((0.3, -0.9, -0.7)):
        np.multiply(light + share * redness, tone[channel], out=colour[:, :, channel])
    # Furrows: where two fields of noise cross zero, stretched along one direction as the lines of skin are.
    stretch = rng.uniform(1.0, 2.5)
    side = int(PATCH / stretch)
    furrows = -np.exp(-4 * np.abs(noise.field(rng, PATCH, 6)))
    lines = cv2.resize(-np.exp(-5 * np.abs(noise.field(rng, side, 6))), (PATCH, PATCH), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        lines = lines.T
    relief = np.float32(rng.choice((0.15, 0.4, 0.9), p=(0.5, 0.35, 0.15))) * (furrows + lines) + some(2.5, 0.02, 0.12)
    relief += some(36, 0.2, 1.2)
    draw_freckles(rng, colour, darkness)
    gloss = np.full((PATCH, PATCH), rng.uniform(0, 0.35), np.float32)
    return Patch(colour, relief, gloss)


def draw_freckles(rng: Rng, colour: np.ndarray, darkness: float) -> None:
    """Lentigines and red points, on some people."""
    cover = np.zeros((PATCH, PATCH), np.uint8)
    number = int(rng.exponential(18)) if rng.random() < 0.6 else 0
    for _ in range(number):
        x, y = (int(v) for v in rng.integers(0, PATCH, 2))
        axes = tuple(int(v) for v in rng.uniform(2, 9, 2))
        cv2.ellipse(cover, (x, y), axes, rng.uniform(0, 180), 0, 360, int(rng.integers(40, 160)), -1, cv2.LINE_AA)
    if number:
        kind = np.array((0.5, 0.34, 0.26) if rng.random() < 0.8 else (0.72, 0.34, 0.32)) * (1 - 0.5 * darkness)
        lay_on(colour, cv2.GaussianBlur(cover, (0, 0), 1.8), 0.7, kind)


def draw_hairs(rng: Rng, patch: Patch, darkness: float) -> None:
    """None, a few or many hairs, combed one way, dark or fair."""
    number = int(rng.choice((0, 12, 40, 110), p=(0.45, 0.25, 0.2, 0.1)) * rng.uniform(0.6, 1.3))
    if not number:
        return
    cover = np.zeros((PATCH, PATCH), np.uint8)
    comb, along = rng.uniform(0, 2 * np.pi), np.linspace(0, 1, 12)
    length = rng.uniform(60, 320)
    for _ in range(number):
        angle = comb + rng.normal(0, 0.5) + rng.normal(0, 0.9) * along
        steps = length * rng.uniform(0.5, 1.3) / len(along)
        points = rng.uniform(0, PATCH, 2) + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * steps, 0)
        stroke(cover, points, 1 if rng.random() < 0.75 else 2, int(rng.integers(120, 256)))
    grey = np.array((0.78, 0.76, 0.72) if rng.random() < 0.2 else (0.16, 0.11, 0.09), np.float32) * (1 - 0.3 * darkness)
    lay_on(patch.colour, cv2.GaussianBlur(cover, (0, 0), 0.7), rng.uniform(0.5, 0.95), grey)


def draw_pen(rng: Rng, patch: Patch, diameter: float) -> None:
    """What a surgeon draws around a lesion: a wobbly ring or a few dashes of blue or black ink."""
    cover = np.zeros((PATCH, PATCH), np.uint8)
    turn = np.linspace(0, 2 * np.pi, 60) + rng.uniform(0, 6)
    radius = diameter * rng.uniform(0.6, 0.85) * (1 + 0.08 * np.sin(2 * turn + 1) + 0.04 * np.sin(5 * turn))
    ring = PATCH / 2 + np.stack([np.cos(turn) * radius, np.sin(turn) * radius * rng.uniform(0.7, 1)], 1)
    width = int(rng.integers(4, 9))
    if rng.random() < 0.6:
        stroke(cover, ring[: int(rng.integers(40, 61))], width, 255)
    else:
        for start in range(0, 60, 15):
            stroke(cover, ring[start : start + 5], width, 255)
    ink = np.array((0.2, 0.22, 0.45) if rng.random() < 0.7 else (0.15, 0.14, 0.17), np.float32)
    lay_on(patch.colour, cv2.GaussianBlur(cover, (0, 0), 1.4), rng.uniform(0.4, 0.85), ink)


def stroke(cover: np.ndarray, points: np.ndarray, width: int, value: int) -> None:
    """A smooth line through `points` (x, y) on a uint8 mask."""
    cv2.polylines(cover, [np.rint(points * 16).astype(np.int32)], False, value, width, cv2.LINE_AA, shift=4)


def mix(colour: np.ndarray, share: np.ndarray, paint: np.ndarray | tuple[float, float, float]) -> None:
    """Move `colour` (H, W, 3) towards `paint`, a colour or an image, by `share` (H, W) of the way, in place."""
    colour += share[:, :, None] * (np.asarray(paint, np.float32) - colour)


def lay_on(colour: np.ndarray, cover: np.ndarray, share: float, paint: np.ndarray) -> None:
    """`mix` for thin things: `cover` is uint8 and mostly 0, and only the pixels that it touches are worked on."""
    y, x = np.nonzero(cover)
    some = colour[y, x]
    colour[y, x] = some + (cover[y, x, None] * np.float32(share / 255)) * (paint.astype(np.float32) - some)


# --- lesions ---


def draw_lesion(rng: Rng, code: str, patch: Patch, diameter: float, darkness: float, noise: Noise) -> None:
    """One lesion of the class in the middle of the patch. `diameter` in pixels of the patch."""
    painter, wobble, ragged = PAINTERS[code]
    spot = place(rng, diameter, wobble * rng.uniform(0.5, 1.6), ragged * rng.uniform(0.5, 1.6), noise)
    y, x = spot.where
    piece = Patch(patch.colour[y, x], patch.relief[y, x], patch.gloss[y, x])  # views: painted in place
    if rng.random() < 0.5:  # any lesion may be inflamed or rubbed
        mix(piece.colour, smoothstep(-0.9, 0.3, spot.depth) * rng.uniform(0, 0.25), reddened(piece.colour))
    painter(rng, piece, spot, darkness)
    np.clip(piece.colour, 0.02, 1, out=piece.colour)


def place(rng: Rng, diameter: float, wobble: float, ragged: float, noise: Noise) -> Spot:
    """The outline: an ellipse, bent by a few harmonics (`wobble`) and by noise (`ragged`)."""
    radius = diameter / 2
    side = int(min(PATCH, 2 * int(radius * 2.1) + 1))
    start = (PATCH - side) // 2
    axis = (np.arange(side, dtype=np.float32) - side / 2) / radius
    x, y = np.meshgrid(axis, axis)
    turn = rng.uniform(0, 2 * np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    stretch = rng.uniform(1, 1.45)
    along, across = along / np.sqrt(stretch), across * np.sqrt(stretch)
    angle, distance = np.arctan2(across, along), np.hypot(along, across)
    border = np.ones_like(distance)
    for harmonic in range(2, 8):
        border += wobble * 2 / harmonic**2 * rng.normal() * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
    coarse, middle, fine = (noise.field(rng, side, scale) for scale in (radius / 3, radius / 8, max(1.2, radius / 30)))
    depth = 1 - distance / np.maximum(border, 0.35) + ragged * (0.6 * middle + 0.4 * coarse)
    lean = np.clip(x * np.cos(2 * turn) + y * np.sin(2 * turn), -1, 1)
    where = slice(start, start + side)
    # Nothing may end at the edge of the square.
    depth = np.minimum(depth, (2.0 - np.maximum(np.abs(x), np.abs(y))) * 2 - 0.6)
    return Spot((where, where), *(np.ascontiguousarray(f, np.float32) for f in (depth, coarse, middle, fine, lean)))


def smoothstep(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def dome(depth: np.ndarray) -> np.ndarray:
    """A cap of height 1 over the lesion, less steep at the border than half a sphere."""
    return (1 - (1 - np.clip(depth, 0, 1)) ** 2) ** 0.7


def reddened(colour: np.ndarray) -> np.ndarray:
    return colour * np.array((1.02, 0.66, 0.66), np.float32)


def shade(paint: tuple[float, float, float], darkness: float) -> np.ndarray:
    """Pigment looks darker in darker skin."""
    return np.array(paint, np.float32) * (1 - 0.35 * darkness)


def paint_ack(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Actinic keratosis: a flat, ill-defined, rough pink patch with whitish scale."""
    body = smoothstep(-0.15, rng.uniform(0.25, 0.6), spot.depth + 0.12 * spot.middle)
    mix(patch.colour, body * rng.uniform(0.35, 0.95), reddened(patch.colour))
    if rng.random() < 0.25:  # pigmented
        mix(patch.colour, body * rng.uniform(0.2, 0.45), shade((0.55, 0.38, 0.28), darkness))
    scale = smoothstep(rng.uniform(-0.2, 0.9), 1.7, spot.middle + 0.7 * spot.fine) * smoothstep(0, 0.4, spot.depth)
    mix(patch.colour, scale * rng.uniform(0.25, 0.85), (0.93, 0.88, 0.8))
    patch.relief += body * (0.9 * spot.fine + 0.8 * spot.middle) * rng.uniform(0.2, 0.7) + 0.8 * scale
    patch.gloss *= 1 - 0.7 * body


def paint_bcc(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Basal cell carcinoma: a pearly pink nodule with a rolled border and small vessels, at times an ulcer."""
    body = smoothstep(-0.12, rng.uniform(0.15, 0.4), spot.depth)
    pink = shade((0.86, 0.56, 0.52), darkness) * rng.uniform(0.9, 1.06, 3)
    mix(patch.colour, body * rng.uniform(0.35, 0.8), pink)
    mix(
        patch.colour,
        body * smoothstep(-0.3, 1.6, spot.coarse + 0.4 * spot.middle) * 0.45,
        shade((0.74, 0.36, 0.34), darkness),
    )
    rim = np.exp(-(((spot.depth - 0.2) / 0.16) ** 2)) * smoothstep(-1.2, 0.8, spot.coarse)
    mix(patch.colour, rim * rng.uniform(0.1, 0.35), shade((0.95, 0.8, 0.75), darkness))
    patch.relief *= 1 - 0.7 * body  # stretched skin has no furrows
    patch.relief += 15 * dome(spot.depth) * rng.uniform(0.5, 1.3) + 6 * rim * rng.uniform(0.3, 1.2) + body * spot.middle
    mix(patch.colour, vessels(rng, spot) * rng.uniform(0.2, 0.75), (0.68, 0.2, 0.2))
    if rng.random() < 0.45:
        ulcer = smoothstep(rng.uniform(0.45, 0.75), 0.9, spot.depth + 0.15 * spot.middle)
        mix(patch.colour, ulcer * rng.uniform(0.5, 0.95), (0.33, 0.12, 0.1))
        mix(patch.colour, ulcer * smoothstep(0.4, 1.4, spot.fine + spot.coarse) * 0.6, (0.72, 0.5, 0.25))
        patch.relief -= 5 * ulcer
    if rng.random() < 0.25:  # pigmented
        dots = smoothstep(0.7, 1.5, spot.middle + 0.5 * spot.coarse) * body
        mix(patch.colour, dots * rng.uniform(0.4, 0.8), (0.3, 0.27, 0.32))
    patch.gloss += body * rng.uniform(0.3, 0.9)


def paint_mel(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Melanoma: asymmetric, irregular, several of tan, brown, black, blue-grey, red and white."""
    soft = rng.uniform(0.12, 0.38)
    body = smoothstep(-soft, soft, spot.depth)
    mix(patch.colour, body * rng.uniform(0.6, 0.95), shade((0.42, 0.27, 0.19), darkness))
    dark = smoothstep(-1.0, 1.2, spot.coarse + rng.uniform(0.2, 1.1) * spot.lean + 0.4 * spot.middle)
    mix(patch.colour, body * dark * rng.uniform(0.5, 0.95), shade((0.13, 0.09, 0.09), darkness))
    for paint, chance in (((0.36, 0.38, 0.45), 0.5), ((0.66, 0.3, 0.28), 0.4), ((0.82, 0.74, 0.7), 0.35)):
        if rng.random() < chance:
            mask = smoothstep(0.1, 1.5, np.roll(spot.coarse, int(rng.integers(20, 200)), int(rng.integers(2))))
            mix(patch.colour, body * mask * rng.uniform(0.3, 0.75), paint)
    patch.colour *= (1 + body * (0.06 * spot.middle + 0.05 * spot.fine))[:, :, None]
    patch.relief += 5 * rng.uniform(0, 1.4) * dome(spot.depth) * dark + body * spot.middle * rng.uniform(0, 0.8)
    patch.gloss += body * rng.uniform(-0.1, 0.2)


def paint_nev(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Nevus: round, even brown (now and then pink or nearly black), with a smooth border."""
    soft = rng.uniform(0.07, 0.28)
    body = smoothstep(-soft, soft, spot.depth)
    tan, brown, black = np.array((0.68, 0.44, 0.3)), np.array((0.43, 0.24, 0.16)), np.array((0.2, 0.12, 0.1))
    level = rng.beta(1.6, 1.8)
    paint = tan + (brown - tan) * min(1, 2 * level) + (black - brown) * max(0, 2 * level - 1)
    if rng.random() < 0.15:
        paint = np.array((0.78, 0.5, 0.44))
    mix(patch.colour, body * rng.uniform(0.65, 0.95), shade(tuple(paint), darkness))
    centre = smoothstep(0.2, 0.9, spot.depth) * rng.uniform(-0.15, 0.35)
    patch.colour *= (1 - centre * body + 0.04 * body * spot.middle + 0.05 * body * spot.coarse)[:, :, None]
    if rng.random() < 0.55:
        patch.relief += 12 * dome(spot.depth) * rng.uniform(0.2, 1.2)
        patch.gloss += body * rng.uniform(0, 0.25)


def paint_scc(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Squamous cell carcinoma: a red, firm nodule with a yellowish crust, at times bleeding."""
    mix(patch.colour, smoothstep(-0.8, 0.2, spot.depth) * rng.uniform(0.1, 0.5), reddened(patch.colour))
    body = smoothstep(-0.1, 0.2, spot.depth)
    mix(patch.colour, body * rng.uniform(0.45, 0.85), shade((0.76, 0.38, 0.35), darkness))
    crust = smoothstep(rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.9), spot.depth + 0.3 * spot.middle + 0.1 * spot.fine)
    crust *= smoothstep(-0.08, 0.12, spot.depth)
    keratin = np.array((0.80, 0.68, 0.49)) * rng.uniform(0.7, 1.1) + rng.uniform(-0.04, 0.14)
    mix(patch.colour, crust * rng.uniform(0.4, 0.95), keratin)
    patch.colour *= (1 + crust * (0.12 * spot.fine + 0.12 * spot.middle))[:, :, None]
    if rng.random() < 0.6:
        blood = smoothstep(0.5, 1.3, spot.coarse - 0.4 * spot.middle) * body
        mix(patch.colour, blood * rng.uniform(0.25, 0.8) * (0.75 + 0.25 * np.tanh(spot.fine)), (0.38, 0.1, 0.09))
    patch.relief += 12 * dome(spot.depth) * rng.uniform(0.4, 1.2) + crust * (4 + 3 * spot.middle + 1.5 * spot.fine)
    patch.gloss += body * rng.uniform(-0.1, 0.4) - 0.4 * crust


def paint_sek(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Seborrhoeic keratosis: stuck on, sharp, waxy brown, speckled with dark plugs and pale grains."""
    body = smoothstep(-0.02, rng.uniform(0.05, 0.14), spot.depth)
    tan, grey = np.array((0.66, 0.43, 0.27)), np.array((0.3, 0.22, 0.17))
    paint = tan + (grey - tan) * rng.beta(1.2, 1.5)
    mix(patch.colour, body * rng.uniform(0.6, 0.92), shade(tuple(paint), darkness))
    folds = np.exp(-3 * np.abs(spot.middle)) * rng.uniform(0.05, 0.4)  # dark clefts, as on a brain
    patch.colour *= (1 - body * folds)[:, :, None]
    plugs = smoothstep(1.2, 2.0, spot.fine + 0.5 * spot.middle) * body
    mix(patch.colour, plugs * rng.uniform(0.1, 0.7), (0.14, 0.1, 0.08))
    grains = smoothstep(1.3, 2.0, -spot.fine + 0.4 * spot.coarse) * body
    mix(patch.colour, grains * rng.uniform(0.05, 0.5), (0.85, 0.78, 0.62))
    edge = smoothstep(-0.02, 0.14, spot.depth)
    patch.relief += edge * (8 * rng.uniform(0.3, 1.2) + rng.uniform(0.2, 1.2) * (spot.middle + 0.6 * spot.fine))
    patch.gloss += body * rng.uniform(0, 0.5)


def vessels(rng: Rng, spot: Spot) -> np.ndarray:
    """Thin branching lines over the lesion, float32 0..1."""
    side = spot.depth.shape[0]
    cover = np.zeros((side, side), np.uint8)
    along = np.arange(14)
    for _ in range(int(rng.integers(2, 8))):
        start, heading = rng.uniform(0.3, 0.7, 2) * side, rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(1, 4))):
            angle = heading + rng.normal(0, 0.5) + np.cumsum(rng.normal(0, 0.35, len(along)))
            points = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * side / 90, 0)
            stroke(cover, points, 1, 255)
    return cv2.GaussianBlur(cover, (0, 0), 0.8).astype(np.float32) / 255 * smoothstep(-0.1, 0.2, spot.depth)


# How a class is painted, how far its outline bends, how ragged it is.
PAINTERS: dict[str, tuple[Callable[[Rng, Patch, Spot, float], None], float, float]] = {
    "ACK": (paint_ack, 0.25, 0.16),
    "BCC": (paint_bcc, 0.10, 0.03),
    "MEL": (paint_mel, 0.26, 0.10),
    "NEV": (paint_nev, 0.07, 0.025),
    "SCC": (paint_scc, 0.18, 0.08),
    "SEK": (paint_sek, 0.12, 0.05),
}


# --- the camera ---


def photograph(rng: Rng, patch: Patch, noise: Noise) -> np.ndarray:
    """The patch as a phone sees it, upright uint8 RGB (H, W, 3)."""
    width, height = SIZES[rng.integers(len(SIZES))]
    if rng.random() < 0.25:
        width, height = height, width
    size = (round(width * WORK), round(height * WORK))
    colour, relief, gloss = frame(rng, patch, size)
    light_up(rng, colour, relief, gloss)
    expose(rng, colour)
    blur(rng, colour)
    if rng.random() < 0.1:
        lay_ruler(rng, colour)
    picture = cv2.resize(colour, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = rng.integers(0, noise.TILE - np.array((height, width)) + 1)
    grain = noise.sensor[top : top + height, left : left + width]
    return cv2.addWeighted(picture, 255, grain, 255 * rng.uniform(0.002, 0.016), 0, dtype=cv2.CV_8U)  # saturates


def frame(rng: Rng, patch: Patch, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, relief and gloss under a camera that is turned, shifted, nearer or farther, and tilted."""
    scale = min(size) / (WINDOW * np.exp(rng.uniform(-0.22, 0.22)))
    turn = rng.uniform(0, 2 * np.pi)
    shift = np.array(size) / 2 + rng.normal(0, 0.05, 2) * min(size)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = shift - linear @ (PATCH / 2, PATCH / 2)
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.1, 2) / np.array(size)
    matrix = tilt @ matrix

    def seen(layer: np.ndarray) -> np.ndarray:
        # Mirrored, because a corner of the photograph may look beyond the patch.
        how = cv2.BORDER_REFLECT_101
        return np.asarray(cv2.warpPerspective(layer, matrix, size, flags=cv2.INTER_LINEAR, borderMode=how), np.float32)

    return seen(patch.colour), seen(patch.relief) * np.float32(scale), seen(patch.gloss)


def light_up(rng: Rng, colour: np.ndarray, relief: np.ndarray, gloss: np.ndarray) -> None:
    """Shade by the slope of the relief, add highlights, let the light fall off across a curved body; in place."""
    height, width = relief.shape
    angle = rng.uniform(0, 2 * np.pi)
    dx, dy = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))
    shading = 1 + np.clip(slope * np.float32(rng.uniform(0.1, 0.35)), -0.4, 0.35)
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    fall = rng.normal(0, 0.1, 2)
    body = 1 + np.float32(fall[0]) * x + np.float32(fall[1]) * y
    vignette = 1 - np.float32(rng.uniform(0, 0.28)) * (x * x + y * y) / 2
    colour *= (shading * body * vignette)[:, :, None]
    # A highlight is narrow: only slopes that face the lamp shine.
    facing = np.float32(rng.uniform(0.3, 0.8))
    shine = np.exp(-((slope - facing) ** 2 + (dx * dx + dy * dy - slope * slope)) / 0.12) * gloss
    colour += (shine * np.float32(rng.uniform(0.1, 0.9)))[:, :, None]


def expose(rng: Rng, colour: np.ndarray) -> None:
    """Exposure, contrast and a wrong white balance, in place."""
    warm, green = rng.normal(0, 0.08), rng.normal(0, 0.025)
    gains = np.exp(rng.normal(0, 0.12) + np.array((warm, green, -warm))) * rng.uniform(0.92, 1.05)
    np.clip(colour, 0, None, out=colour)
    contrast = rng.uniform(0.85, 1.25)
    colour *= gains.astype(np.float32)
    colour += np.float32(contrast - 1) * (colour - np.float32(0.5)) * np.float32(0.6)
    # A soft shoulder instead of hard clipping, as cameras have.
    high = colour > 0.85
    colour[high] = 0.85 + 0.15 * (1 - np.exp(-(colour[high] - 0.85) / 0.15))


def blur(rng: Rng, colour: np.ndarray) -> None:
    """Defocus on most photographs, a shaken hand on some, in place."""
    sigma = 0.4 + rng.exponential(0.7)
    cv2.GaussianBlur(colour, (0, 0), min(sigma, 4.0), dst=colour)
    if rng.random() < 0.15:
        length = int(rng.integers(5, 15))
        kernel = np.zeros((length, length), np.uint8)
        reach = length / 2 * np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])
        middle = np.array((length // 2, length // 2))
        cv2.line(kernel, tuple((middle - reach).astype(int)), tuple((middle + reach).astype(int)), 255, 1, cv2.LINE_AA)
        cv2.filter2D(colour, -1, kernel.astype(np.float32) / kernel.sum(dtype=np.float32), dst=colour)


def lay_ruler(rng: Rng, colour: np.ndarray) -> None:
    """The edge of a paper ruler along one side of the photograph, in place."""
    side = int(rng.integers(4))
    view = np.rot90(colour, side)
    height, width = view.shape[:2]
    strip = np.ones((height, width), np.float32)
    lean, depth = rng.normal(0, 0.04), rng.uniform(0.05, 0.13) * height
    corners = np.array([(0, 0), (width, 0), (width, depth + lean * width), (0, depth)])
    cover = np.zeros((height, width), np.uint8)
    cv2.fillPoly(cover, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    step = rng.uniform(0.018, 0.03) * width  # a millimetre
    for tick in range(int(width / step) + 1):
        x, bottom = round(tick * step), depth + lean * tick * step
        reach = (0.5 if tick % 10 == 0 else 0.35 if tick % 5 == 0 else 0.22) * depth
        cv2.line(strip, (x, round(bottom)), (x, round(bottom - reach)), 0.15, 1, cv2.LINE_AA)
    paper = np.array((0.93, 0.92, 0.88), np.float32) * np.float32(rng.uniform(0.75, 1))
    share = cv2.GaussianBlur(cover, (0, 0), 1).astype(np.float32) / 255
    view += share[:, :, None] * (paper * cv2.GaussianBlur(strip, (0, 0), 0.6)[:, :, None] - view)


def save(picture: np.ndarray, rng: Rng, path: Path) -> None:
    """JPEG as a phone stores it: pixels in the sensor's orientation, EXIF that says how to turn them."""
    from PIL import Image

    orientation = int(rng.choice((UPRIGHT, UPSIDE_DOWN, QUARTER_RIGHT, QUARTER_LEFT), p=(0.35, 0.1, 0.4, 0.15)))
    undone_by_the_reader = {
        UPSIDE_DOWN: cv2.ROTATE_180,
        QUARTER_RIGHT: cv2.ROTATE_90_COUNTERCLOCKWISE,
        QUARTER_LEFT: cv2.ROTATE_90_CLOCKWISE,
    }
    if orientation != UPRIGHT:
        picture = cv2.rotate(picture, undone_by_the_reader[orientation])
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "dermedge", "synthetic sample, drawn by a computer", orientation
    Image.fromarray(picture).save(path, "JPEG", quality=QUALITY, exif=block.tobytes())
