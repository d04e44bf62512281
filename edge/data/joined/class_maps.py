"""What a class of one data set is in the classes of another, and what that loses or mixes. Literal, to be read."""

from __future__ import annotations

from dataclasses import dataclass

from edge.data.isic import HAM10000, ONE_HOT
from edge.errors import InputError, did_you_mean
from edge.labels import PAD_UFES_20, Label

SAME, LOSES, MIXES, NONE = "same", "loses", "mixes", "none"  # from the most exact on
RANKS = (SAME, LOSES, MIXES, NONE)
MALIGNANT = (Label("BEN", "benign lesion", malignant=False), Label("MAL", "malignant lesion", malignant=True))
# What photographs can be joined as, in output order
CLASSES: dict[str, tuple[Label, ...]] = {
    "pad_ufes_20": PAD_UFES_20,
    "isic_2019": tuple(label for label in ONE_HOT if label.code != "AKIEC"),
    "ham10000": HAM10000,
    "malignant": MALIGNANT,
}


@dataclass(frozen=True)
class Becomes:
    """A source's class in the target's classes."""

    code: str  # of the target; empty where there is no counterpart
    kind: str  # of RANKS
    why: str = ""  # what is lost or mixed, or why there is no counterpart


# Data sets whose classes are called alike and mean the same -> the name of their column in the tables below.
NAMING = {
    "pad_ufes_20": "pad",
    "synthetic": "pad",  # the drawn sample has the classes of PAD-UFES-20
    "isic": "pad",  # our readers give the archive and 2017 the codes of PAD-UFES-20
    "isic_2017": "pad",
    "isic_2018": "ham10000",
    "isic_2019": "isic_2019",
    "isic_2016": "two",
    "isic_2020": "two",
}

BOWEN = "SCC of PAD-UFES-20 has Bowen's disease (carcinoma in situ) in it, as that of ISIC 2019"
KERATOSES = "BKL is seborrhoeic keratosis, solar lentigo and lichen planus-like keratosis in one"
IN_SITU = "AKIEC is actinic keratosis and carcinoma in situ in one, which are AK and SCC elsewhere"
BENIGN = "benign lesions are not told apart there"

# Target -> (naming, code) -> what it becomes; codes that are not there and that the target has are the same.
MAPS: dict[str, dict[tuple[str, str], Becomes]] = {
    "pad_ufes_20": {
        ("isic_2019", "AK"): Becomes("ACK", SAME),
        ("isic_2019", "NV"): Becomes("NEV", SAME),
        ("isic_2019", "BKL"): Becomes("SEK", MIXES, KERATOSES),
        ("isic_2019", "DF"): Becomes("", NONE, "no dermatofibroma in PAD-UFES-20"),
        ("isic_2019", "VASC"): Becomes("", NONE, "no vascular lesion in PAD-UFES-20"),
        ("ham10000", "AKIEC"): Becomes("", NONE, IN_SITU),
        ("ham10000", "NV"): Becomes("NEV", SAME),
        ("ham10000", "BKL"): Becomes("SEK", MIXES, KERATOSES),
        ("ham10000", "DF"): Becomes("", NONE, "no dermatofibroma in PAD-UFES-20"),
        ("ham10000", "VASC"): Becomes("", NONE, "no vascular lesion in PAD-UFES-20"),
        ("two", "BEN"): Becomes("", NONE, BENIGN),
    },
    "isic_2019": {
        ("pad", "ACK"): Becomes("AK", SAME),
        ("pad", "NEV"): Becomes("NV", SAME),
        ("pad", "SEK"): Becomes("BKL", LOSES, f"which benign keratosis it is: {KERATOSES}"),
        ("ham10000", "AKIEC"): Becomes("", NONE, IN_SITU),
        ("two", "BEN"): Becomes("", NONE, BENIGN),
    },
    "ham10000": {
        ("pad", "ACK"): Becomes("AKIEC", LOSES, f"that it is benign: {IN_SITU}, and count as malignant"),
        ("pad", "NEV"): Becomes("NV", SAME),
        ("pad", "SCC"): Becomes("", NONE, f"no squamous cell carcinoma in HAM10000; {BOWEN}, and cannot be told apart"),
        ("pad", "SEK"): Becomes("BKL", LOSES, f"which benign keratosis it is: {KERATOSES}"),
        ("isic_2019", "AK"): Becomes("AKIEC", LOSES, f"that it is benign: {IN_SITU}, and count as malignant"),
        ("isic_2019", "SCC"): Becomes(
            "", NONE, "no squamous cell carcinoma in HAM10000; carcinoma in situ, which is AKIEC there, is in it"
        ),
        ("two", "BEN"): Becomes("", NONE, BENIGN),
    },
}  # fmt: skip
# Codes that class folders may have -> the naming that they are taken from, the first that has them.
CODES = {
    **{label.code: "ham10000" for label in HAM10000},
    **{label.code: "isic_2019" for label in CLASSES["isic_2019"]},
    **{label.code: "pad" for label in PAD_UFES_20},
    "BEN": "two",
}


def classes_named(target: str) -> tuple[Label, ...]:
    """The classes of CLASSES; InputError for another name."""
    if target not in CLASSES:
        raise InputError(
            f"no classes are called {target!r}{did_you_mean(target, CLASSES)}; known: {', '.join(CLASSES)}"
        )
    return CLASSES[target]


def becomes(domain: str, label: Label, target: str) -> Becomes:
    """What a class of a data set is in the classes of `target`, a name of CLASSES.

    Class folders are read by their codes, in any capitals; one that is called like a known class and says otherwise
    whether it is malignant has no counterpart.
    """
    if target == "malignant":
        return by_malignancy(domain, label)
    naming, code = NAMING.get(domain), label.code
    if naming is None:
        code = label.code.upper()
        naming = CODES.get(code)
        if naming is None:
            return Becomes("", NONE, f"no class is called {label.code}; rename the folder, or name it in labels.json")
        meant = next((known for known in (*PAD_UFES_20, *ONE_HOT, *MALIGNANT) if known.code == code), None)
        if meant and label.malignant is not None and label.malignant != meant.malignant:
            return Becomes("", NONE, f"{label.code} is marked {words(label)} here, {words(meant)} in {target}")
    return MAPS[target].get((naming, code)) or same(code, target)


def same(code: str, target: str) -> Becomes:
    if code in {label.code for label in CLASSES[target]}:
        return Becomes(code, SAME)
    return Becomes("", NONE, f"no {code} in {target}")


def by_malignancy(domain: str, label: Label) -> Becomes:
    """Benign or malignant, as the source's own class says."""
    if label.malignant is None:
        return Becomes("", NONE, "whether it is malignant is unknown; labels.json can say so")
    code = "MAL" if label.malignant else "BEN"
    if NAMING.get(domain) == "two" and not label.malignant:
        return Becomes(code, SAME)
    if domain == "isic_2018" and label.code == "AKIEC":
        return Becomes(code, MIXES, f"{IN_SITU}: actinic keratoses, which are benign, count as malignant")
    return Becomes(code, LOSES, "which lesion it is")


def words(label: Label) -> str:
    return "malignant" if label.malignant else "benign"
