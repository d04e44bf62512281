"""How many rows of each class the official tables have: another number is an altered copy, or a part, of the set.

Counted in the tables as they are published: PAD-UFES-20 (doi:10.17632/zr7vgbcyr2.1), HAM10000 (doi:10.7910/DVN/DBW86T),
and those of the ISIC challenges (challenge.isic-archive.com/data).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

# Data set -> its tables, the training one first -> rows of each class.
OFFICIAL: dict[str, dict[str, dict[str, int]]] = {
    "pad_ufes_20": {"metadata.csv": {"ACK": 730, "BCC": 845, "MEL": 52, "NEV": 244, "SCC": 192, "SEK": 235}},
    "isic_2016": {"training": {"BEN": 727, "MEL": 173}},
    "isic_2017": {
        "training": {"MEL": 374, "NEV": 1372, "SEK": 254},
        "validation": {"MEL": 30, "NEV": 78, "SEK": 42},
        "test": {"MEL": 117, "NEV": 393, "SEK": 90},
    },
    "isic_2018": {
        "training": {"MEL": 1113, "NV": 6705, "BCC": 514, "AKIEC": 327, "BKL": 1099, "DF": 115, "VASC": 142}
    },
    "isic_2019": {
        "training": {
            "MEL": 4522, "NV": 12_875, "BCC": 3323, "AK": 867, "BKL": 2624, "DF": 239, "VASC": 253, "SCC": 628,
        },
    },
    "isic_2020": {"training": {"BEN": 32_542, "MEL": 584}},
}  # fmt: skip


def altered(domain: str, counts: Mapping[str, int]) -> str:
    """A sentence where a table's rows of each class are those of no official table of the set, nor of several together.

    Empty where they are, and for a set that has no official counts here.
    """
    tables = OFFICIAL.get(domain)
    rows = {code: number for code, number in counts.items() if number}
    if not tables or any(rows == whole for whole in wholes(tables)):
        return ""
    name, first = next(iter(tables.items()))
    apart = [
        f"class {code} {rows.get(code, 0):,} of {first.get(code, 0):,}"
        for code in dict.fromkeys([*first, *rows])
        if rows.get(code, 0) != first.get(code, 0)
    ]
    table = name if "." in name else f"table of {name}"
    return (
        f"altered copy, or a part: {sum(rows.values()):,} of the {sum(first.values()):,} rows of the official {table} "
        f"of {domain}: {', '.join(apart)}"
    )


def wholes(tables: Mapping[str, Mapping[str, int]]) -> Iterator[dict[str, int]]:
    """Rows of each class of every table, and of all that may lie together in a folder."""
    for several in range(1, len(tables) + 1):
        for chosen in combinations(tables.values(), several):
            codes = dict.fromkeys(code for table in chosen for code in table)
            yield {code: sum(table.get(code, 0) for table in chosen) for code in codes}
