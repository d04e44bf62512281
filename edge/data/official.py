"""How many rows of each class the official tables have: another number is an altered copy, or a part, of the set.

Counted in the tables as they are published: PAD-UFES-20 (doi:10.17632/zr7vgbcyr2.1), HAM10000 (doi:10.7910/DVN/DBW86T),
and those of the ISIC challenges (challenge.isic-archive.com/data). The test of 2016 has the counts of mlscorecheck's
documentation; those of the test of 2018 fit the rows and the length of a public copy of its table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

# Data set -> its tables, the training one first -> rows of each class.
OFFICIAL: dict[str, dict[str, dict[str, int]]] = {
    "pad_ufes_20": {"metadata.csv": {"ACK": 730, "BCC": 845, "MEL": 52, "NEV": 244, "SCC": 192, "SEK": 235}},
    "isic_2016": {"training": {"BEN": 727, "MEL": 173}, "test": {"BEN": 304, "MEL": 75}},
    "isic_2017": {
        "training": {"MEL": 374, "NEV": 1372, "SEK": 254},
        "validation": {"MEL": 30, "NEV": 78, "SEK": 42},
        "test": {"MEL": 117, "NEV": 393, "SEK": 90},
    },
    "isic_2018": {
        "training": {"MEL": 1113, "NV": 6705, "BCC": 514, "AKIEC": 327, "BKL": 1099, "DF": 115, "VASC": 142},
        "test": {"MEL": 171, "NV": 909, "BCC": 93, "AKIEC": 43, "BKL": 217, "DF": 44, "VASC": 35},
    },
    "isic_2019": {
        "training": {
            "MEL": 4522, "NV": 12_875, "BCC": 3323, "AK": 867, "BKL": 2624, "DF": 239, "VASC": 253, "SCC": 628,
        },
    },
    "isic_2020": {"training": {"BEN": 32_542, "MEL": 584}},
}  # fmt: skip

# Rows of published tables whose classes are not counted here: nothing is said against a table that has as many.
UNCOUNTED: dict[str, dict[str, int]] = {
    "isic_2018": {"validation": 193, "test as the Dataverse has it": 1511},
    "isic_2019": {"test": 8238},  # with those of no class here
}


def altered(domain: str, counts: Mapping[str, int], rows: int | None = None) -> str:
    """A sentence where a table's rows of each class are those of no official table of the set, nor of several together.

    `rows`: of the whole table, where there are some without a class. Empty where they are, for a set that has no
    official counts here, and for a table of which `uncounted` has something to say. A table is compared with the one
    that has as many rows, else with that of the training.
    """
    tables = OFFICIAL.get(domain)
    own = {code: number for code, number in counts.items() if number}
    if not tables or any(own == whole for whole in wholes(tables)) or uncounted(domain, counts, rows):
        return ""
    total = sum(own.values())
    name, nearest = next(
        ((name, table) for name, table in tables.items() if sum(table.values()) == total), next(iter(tables.items()))
    )
    apart = [
        f"class {code} {own.get(code, 0):,} of {nearest.get(code, 0):,}"
        for code in dict.fromkeys([*nearest, *own])
        if own.get(code, 0) != nearest.get(code, 0)
    ]
    table = name if "." in name else f"table of {name}"
    return (
        f"altered copy, or a part: {total:,} of the {sum(nearest.values()):,} rows of the official {table} "
        f"of {domain}: {', '.join(apart)}"
    )


def is_official(domain: str, counts: Mapping[str, int], rows: int) -> bool:
    """Whether a table's rows of each class are those of an official table of the set, or of several together.

    `rows`: of the whole table. Where it is neither this nor `altered`, nobody here can tell.
    """
    own = {code: number for code, number in counts.items() if number}
    return sum(own.values()) == rows and any(own == whole for whole in wholes(OFFICIAL.get(domain, {})))


def uncounted(domain: str, counts: Mapping[str, int], rows: int | None = None) -> str:
    """A sentence where a table, alone or with official ones, has as many rows as one whose classes are not known here.

    Such a table may be altered or not: which, nobody here can tell.
    """
    total = sum(counts.values()) if rows is None else rows
    for name, extra in UNCOUNTED.get(domain, {}).items():
        for whole in ({}, *wholes(OFFICIAL.get(domain, {}))):
            if total == extra + sum(whole.values()) and all(counts.get(code, 0) >= n for code, n in whole.items()):
                return (
                    f"not a table whose counts are known here: {total:,} rows, as with the {extra:,} of {domain}'s "
                    f"{name}; whether it is an altered copy is not told"
                )
    return ""


def wholes(tables: Mapping[str, Mapping[str, int]]) -> Iterator[dict[str, int]]:
    """Rows of each class of every table, and of all that may lie together in a folder."""
    for several in range(1, len(tables) + 1):
        for chosen in combinations(tables.values(), several):
            codes = dict.fromkeys(code for table in chosen for code in table)
            yield {code: sum(table.get(code, 0) for table in chosen) for code in codes}
