"""Which patient has which lesion, and its row in the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._noise import Rng

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


@dataclass(frozen=True)
class Lesion:
    """One row of the plan: what is drawn and how often it is photographed."""

    patient: int
    number: int
    code: str
    photos: int


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
