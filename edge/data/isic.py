"""Photographs of the ISIC Archive and of the ISIC challenges -> PhotoSet."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge.data.answer_columns import answers_in_tables
from edge.data.csv_table import header, known, read_lines, read_table
from edge.data.groups import groups_in
from edge.data.listing import Contents, index_photos, refuse_doubles, refuse_missing
from edge.data.official import altered, is_official, uncounted
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20, Label

# An id means the same photograph in all of them.
DOMAINS = ("isic", "isic_2016", "isic_2017", "isic_2018", "isic_2019", "isic_2020", "isic_masks")
CHALLENGE_FOLDER = re.compile(r"IS(IC|BI)[-_]?20\d\d")  # such a folder is not that of a class

# ISIC diagnoses that have a counterpart among the six classes of PAD-UFES-20.
ISIC_TO_PAD = {"melanoma": "MEL", "nevus": "NEV", "seborrheic keratosis": "SEK"}

# Columns of the tables of 2018 (task 3, HAM10000) and 2019, one of them 1 in each row.
ONE_HOT = (
    Label("MEL", "melanoma", malignant=True),
    Label("NV", "nevus", malignant=False),
    Label("BCC", "basal cell carcinoma", malignant=True),
    Label("AKIEC", "actinic keratosis or intraepithelial carcinoma", malignant=True),  # carcinoma in situ is among them
    Label("AK", "actinic keratosis", malignant=False),
    Label("BKL", "benign keratosis", malignant=False),
    Label("DF", "dermatofibroma", malignant=False),
    Label("VASC", "vascular lesion", malignant=False),
    Label("SCC", "squamous cell carcinoma", malignant=True),
)
HAM10000 = tuple(label for label in ONE_HOT if label.code not in {"AK", "SCC"})
NO_CLASS = "UNK"  # of 2019
TWO_CLASSES = (Label("BEN", "benign lesion", malignant=False), Label("MEL", "melanoma", malignant=True))
# of 2016 and 2020, whose malignant lesions are melanomas; the test table of 2016 has numbers
TWO_WORDS = {"benign": "BEN", "malignant": "MEL", "0": "BEN", "1": "MEL", "0.0": "BEN", "1.0": "MEL"}
LEVELS = tuple(f"diagnosis_{level}" for level in range(5, 0, -1))  # of today's archive, the most exact first
LICENCES = dict.fromkeys(("isic_2016", "isic_2018", "isic_2019", "isic_2020"), "CC BY-NC 4.0")
REDUCED = "_downsampled"  # end of names of 2019
ISIC_ID = re.compile(r"ISIC_\d{7}", re.IGNORECASE)
DIAGNOSES_SHOWN = 5

# What tables there are, by the columns that none of the others has (in the form of `edge.data.csv_table`).
COLUMNS = {
    "2017": ("image_id", "melanoma", "seborrheic_keratosis"),
    "one-hot": ("image", "mel", "nv", "bcc", "bkl"),  # 2018, 2019
    "ham10000": ("image_id", "dx"),  # Kaggle's and the Dataverse's table; dx is a code of ONE_HOT
    "2020": ("image_name", "benign_malignant"),  # also SIIM's
}
OLD_ARCHIVE = ("name", "diagnosis", "benign_malignant")  # of downloads until 2021, there with meta.clinical. in front
IMAGES_2016 = {"img_id", "image_id", "image", "image_name"}  # its own table has no header, copies of it have


def kind_of(table: Path) -> str | None:
    """Which of the tables that give an image its class this is; None for any other."""
    names = header(table)
    if "isic_id" in names and {"diagnosis", "diagnosis_1"} & set(names):
        return "archive"
    if set(OLD_ARCHIVE) <= set(names):
        return "archive"
    for kind, columns in COLUMNS.items():
        if set(columns) <= set(names):
            return kind
    if len(names) == 2 and names[1] in TWO_WORDS and ISIC_ID.fullmatch(names[0]):
        return "2016"
    if len(names) == 2 and names[0] in IMAGES_2016 and names[1] == "label":
        return "2016"
    return None


@dataclass
class Rows:
    """What tables of one kind say of their images."""

    name: str
    domain: str
    classes: tuple[Label, ...]
    codes: dict[str, str] = field(default_factory=dict)  # image -> class
    images: list[str] = field(default_factory=list)  # in the tables' order, also where one is listed twice
    total: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # diagnoses without a class here
    licence: str = "unknown"

    def add(self, image: str, code: str | None, diagnosis: str = NO_CLASS) -> None:
        """`code` None: no class here has the `diagnosis`."""
        self.total += 1
        if code is None:
            self.left_out[diagnosis] += 1
            return
        self.codes[image] = code
        self.images.append(image)


def read_isic(
    folder: Path, tables: dict[str, list[Path]], others: list[Path], contents: Contents, *, skip_missing: bool
) -> PhotoSet:
    """The set whose classes are in `tables`, by kind, as `kind_of` has them; `others` may name patients or lesions.

    Raises InputError where tables of two sets are mixed, where a row cannot be understood, where an image is listed
    twice, and where images are missing (`skip_missing` goes on without them).
    """
    kinds = dict(tables)
    lesions = kinds.pop("ham10000", []) if {"one-hot", "ham10000"} <= kinds.keys() else []  # one set, two tables
    if len(kinds) > 1:
        first, second = (listed[0] for listed in list(kinds.values())[:2])
        raise InputError(f"{first} and {second} are of two challenges; give each a folder of its own")
    ((kind, own),) = kinds.items()
    rows = READERS[kind](own)
    if lesions:
        refuse_another_class(rows, lesions)
    index = index_photos(contents)
    groups = groups_in([*own, *lesions, *others] if kind != "2016" else others)
    said = answers_in_tables([*own, *lesions, *others])
    photos, missing = [], []
    for image in rows.images:
        path = index.find(image)
        if path is None:
            missing.append(image)
        else:
            patient = f"isic:{groups.of(image)}"
            photos.append(
                Photo(
                    path, image, rows.codes[image], patient, rows.domain, answers=said.of(image),
                    lesion=groups.lesion_of(image), site=said.site_of(image),
                )
            )  # fmt: skip
    refuse_doubles(own, photos)
    refuse_reduced(own[0], photos)
    if not rows.images:
        raise InputError(f"{own[0]} gives no image a class; left out: {most_of(rows.left_out)}")
    notes = refuse_missing(own[0], missing, len(rows.images), contents, skip_missing=skip_missing)
    if rows.left_out:
        notes.append(f"left out, no such class: {most_of(rows.left_out)}")
    counts = Counter(rows.codes[image] for image in rows.images)
    apart = altered(rows.domain, counts, rows.total)
    notes += filter(None, [apart, uncounted(rows.domain, counts, rows.total)])
    notes += groups.notes([photo.image_id for photo in photos]) + said.notes()
    return PhotoSet(
        rows.name, rows.classes, tuple(photos), licence=rows.licence, notes=tuple(notes), altered=apart,
        official=is_official(rows.domain, counts, rows.total),
    )  # fmt: skip


def refuse_reduced(table: Path, photos: list[Photo]) -> None:
    """InputError where a photograph is there in full size and reduced, as 2019 has some: it would count twice."""
    full = {photo.image_id.casefold(): photo for photo in photos}
    for photo in photos:
        name = photo.image_id.casefold().removesuffix(REDUCED)
        if name != photo.image_id.casefold() and name in full:
            raise InputError(
                f"{table} lists {full[name].image_id} and {photo.image_id}, one photograph in two sizes; remove one"
            )


def most_of(counts: Counter[str]) -> str:
    shown = ", ".join(f"{number} {name}" for name, number in counts.most_common(DIAGNOSES_SHOWN))
    rest = counts.total() - sum(number for _, number in counts.most_common(DIAGNOSES_SHOWN))
    return f"{shown}, {rest} of {len(counts) - DIAGNOSES_SHOWN} other diagnoses" if rest else shown


def read_archive(tables: list[Path]) -> Rows:
    """An ISIC Archive download, diagnoses mapped to the classes of PAD-UFES-20; others are left out and counted."""
    rows, licences = Rows("ISIC dermoscopy", "isic", PAD_UFES_20), set()
    for row in (row for table in tables for row in read_table(table)):
        licences.add(row.get("copyright_license") or "unknown")
        diagnosis = diagnosis_of(row)
        rows.add(row.get("isic_id") or row.get("name", ""), ISIC_TO_PAD.get(diagnosis), diagnosis or "no diagnosis")
    if not rows.images:
        raise InputError(f"{tables[0]} has no diagnosis among {', '.join(ISIC_TO_PAD)}")
    rows.licence = ", ".join(sorted(licences))
    return rows


def diagnosis_of(row: dict[str, str]) -> str:
    """A row's diagnosis in the words of ISIC_TO_PAD where it has one, else in the archive's own.

    Today's downloads have up to five levels from `diagnosis_1`, as Malignant, to the most exact, as Melanoma in situ.
    The second is a group; a nevus sebaceus is not in that of melanocytic ones, and is no nevus of ISIC_TO_PAD.
    """
    if old := row.get("diagnosis"):
        return old.lower()
    levels = [row[level].lower() for level in LEVELS if row.get(level)]
    group = row.get("diagnosis_2", "").lower()
    for level in levels:
        if group and "melanocytic" not in group and level.startswith(("nevus", "melanoma")):
            continue
        for word in ISIC_TO_PAD:
            if level == word or level.startswith((f"{word} ", f"{word},")):
                return word
    return levels[0] if levels else ""


def read_2017(tables: list[Path]) -> Rows:
    """The ISIC 2017 challenge, with the classes of PAD-UFES-20: two columns, and the rest are nevi."""
    rows = Rows("ISIC 2017", "isic_2017", PAD_UFES_20)
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            melanoma, keratosis = numbers(row, COLUMNS["2017"][1:])
            if (melanoma, keratosis) not in {(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)}:
                raise InputError(f"{table}:{line}: melanoma and seborrheic_keratosis are 0 or 1, and not 1 at once")
            rows.add(row["image_id"], "MEL" if melanoma else "SEK" if keratosis else "NEV")
    return rows


def read_one_hot(tables: list[Path]) -> Rows:
    """ISIC 2018 task 3 (HAM10000) or ISIC 2019, with the classes of their own tables.

    A row of no known class (`UNK`) is left out and counted.
    """
    columns = header(tables[0])
    classes = tuple(label for label in ONE_HOT if label.code.lower() in columns)
    codes = [label.code for label in classes]
    domain = "isic_2018" if "akiec" in columns else "isic_2019"
    rows = Rows(f"ISIC {domain[-4:]}", domain, classes, licence=LICENCES[domain])
    names = [code.lower() for code in [*codes, *([NO_CLASS] if NO_CLASS.lower() in columns else [])]]
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            shares = numbers(row, names)
            if sorted(shares) != [0.0] * (len(shares) - 1) + [1.0]:
                raise InputError(f"{table}:{line}: one of {', '.join(codes)} is 1 and the others are 0")
            rows.add(row["image"], [*codes, None][shares.index(1.0)])
    return rows


def read_ham10000(tables: list[Path]) -> Rows:
    """HAM10000 with its own table: seven classes from `dx`."""
    rows = Rows("HAM10000", "isic_2018", HAM10000, licence=LICENCES["isic_2018"])
    codes = [label.code for label in HAM10000]
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            if row["dx"].upper() not in codes:
                raise InputError(f"{table}:{line}: dx {row['dx']!r} is none of {', '.join(codes).lower()}")
            rows.add(row["image_id"], row["dx"].upper())
    return rows


def refuse_another_class(rows: Rows, tables: list[Path]) -> None:
    """InputError where HAM10000's own table, which lies beside another, gives an image another class."""
    for image, code in read_ham10000(tables).codes.items():
        if rows.codes.get(image, code) != code:
            raise InputError(f"{tables[0]} has {code} for {image}, another table {rows.codes[image]}; remove one table")


def read_2020(tables: list[Path]) -> Rows:
    """The ISIC challenge of 2020 (SIIM): melanoma or benign."""
    rows = Rows("ISIC 2020", "isic_2020", TWO_CLASSES, licence=LICENCES["isic_2020"])
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            code = two_word(table, line, row["benign_malignant"])
            if (target := row.get("target", "")) and two_word(table, line, target) != code:
                raise InputError(f"{table}: row {line}: {row['benign_malignant']}, and target {target}; which is it?")
            diagnosis = known(row.get("diagnosis"), table)
            if code == "MEL" and diagnosis and "melanoma" not in diagnosis.casefold():
                raise InputError(
                    f"{table}: row {line}: malignant, and {diagnosis}; malignant lesions of ISIC 2020 are melanomas"
                )
            rows.add(row["image_name"], code)
    return rows


def read_2016(tables: list[Path]) -> Rows:
    """The ISIC challenge of 2016: melanoma or benign, in a table without a header."""
    rows = Rows("ISIC 2016", "isic_2016", TWO_CLASSES, licence=LICENCES["isic_2016"])
    for table in tables:
        for line, fields in enumerate(read_lines(table), start=1):
            if line == 1 and fields[-1].lower() == "label":
                continue
            if len(fields) != 2:
                raise InputError(f"{table}: row {line} has {len(fields)} fields, expected an image and its class")
            rows.add(fields[0], two_word(table, line, fields[1]))
    return rows


def two_word(table: Path, line: int, word: str) -> str:
    if word.lower() not in TWO_WORDS:
        raise InputError(f"{table}: row {line}: expected benign or malignant, got {word!r:.40}")
    return TWO_WORDS[word.lower()]


READERS = {
    "archive": read_archive,
    "2017": read_2017,
    "one-hot": read_one_hot,
    "ham10000": read_ham10000,
    "2020": read_2020,
    "2016": read_2016,
}


WORDS = {"true": "1", "false": "0"}  # as pandas writes them


def numbers(row: dict[str, str], columns: tuple[str, ...] | list[str]) -> list[float]:
    """The row's numbers; all -1 where one is not a number, or where a table lacks a column that the first has."""
    try:
        return [float(WORDS.get(row[column].casefold(), row[column])) for column in columns]
    except (ValueError, KeyError):
        return [-1.0] * len(columns)
