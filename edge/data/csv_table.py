"""Tables of photographs as people save them: CSV with commas, semicolons or tabs, in UTF-8 or Excel's UTF-16."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import unicodedata
from pathlib import Path
from typing import BinaryIO

from edge.errors import InputError
from edge.files import MAX_JSON_BYTES
from edge.paths import kind_of

ENDINGS = {".csv", ".tsv", ".tab", ".txt", ""}  # the Dataverse's HAM10000_metadata has no ending
NOT_READ = {".xlsx", ".xls", ".ods", ".numbers", ".parquet", ".feather"}
DELIMITERS = ",;\t|"
EXCELS_FIRST_LINE = "sep="  # by which it says what delimits
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MAX_HEADER = 100_000  # bytes
NOT_KNOWN = {  # where an id should be
    "", "nan", "n/a", "n.a.", "na", "none", "null", "<na>", "nil", "unknown", "not known", "not available", "missing",
    "undefined", "unspecified", "anonymous", "anonymized", "anonymised", "anon", "?", "-", "--", "---", "–", "—", ".",
    "#n/a", "#na", "#null!", "#ref!", "#value!", "#name?", "#num!", "#div/0!",
}  # fmt: skip
SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)  # as Excel shows and saves a long number: digits are lost
# Characters that nothing is drawn for, beside those of the categories Cc and Cf (Unicode, Default_Ignorable_Code_Point)
NOT_DRAWN = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0,
              *range(0xE0100, 0xE01F0)])
)  # fmt: skip
AS_CSV = "save it as CSV UTF-8"


def plain(text: str) -> str:
    """A field in one form of Unicode, with single spaces and no invisible characters: ids are compared by letters."""
    if text.isascii() and text.isprintable():  # most are; a table has a hundred thousand fields
        return " ".join(text.split())
    visible = "".join(c for c in text if c.isspace() or not is_invisible(c))
    return " ".join(unicodedata.normalize("NFC", visible).split())


def is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf"} or character in NOT_DRAWN


def known(identifier: str | None, table: Path) -> str:
    """The id, or nothing where the table says in any of the usual ways that there is none.

    Raises InputError for a number of which digits were lost, as it may stand for several patients.
    """
    if identifier is None or identifier.casefold() in NOT_KNOWN:
        return ""
    if SHORTENED.fullmatch(identifier):
        raise InputError(
            f"{table} has the id {identifier}, a long number that a spreadsheet shortened: different ids look the same "
            "now. Export the table again with its ids as text"
        )
    return identifier


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header; columns in small letters with `_` for spaces, fields as `plain` has them.

    Raises InputError if it is empty, too large, ragged or not text, or has a column twice.
    """
    first, *rest = read_lines(path)
    names = [column_name(name) for name in first]
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise InputError(f"{path} has the column {twice[0]} more than once; remove one of them")
    rows = [(number, row) for number, row in enumerate(rest, start=2) if any(row)]
    if not rows:
        raise InputError(f"{path} has no rows")
    for number, row in rows:
        if len(row) < len(names) or any(row[len(names) :]):  # empty fields after the last are Excel's
            raise InputError(
                f"{path}: row {number} has more or fewer fields than the header, {len(row)} and {len(names)}; "
                "was the file cut off?"
            )
    return [dict(zip(names, row, strict=False)) for _, row in rows]


def read_lines(path: Path) -> list[list[str]]:
    """The fields of each line of a table that is not empty, header included; InputError as `read_table`."""
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes; expected a table of photographs")
        data = file.read()
    if data.startswith(b"PK\x03\x04") or data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"{path} is not a CSV table but an Excel or zip file; {AS_CSV}")
    try:
        text = data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
        if "\0" in text:
            raise InputError(f"{path} is not a CSV table in UTF-8, it holds bytes of zero; {AS_CSV}")
        delimiter, text = delimited(unix_lines(text))
        rows = csv.reader(io.StringIO(text), delimiter=delimiter)
        lines = [[plain(unwrapped(field)) for field in line] for line in rows if line]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a CSV table in UTF-8 ({error}); {AS_CSV}") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table: {error}") from error
    while lines and not any(lines[0]):  # commas of an empty row above the header
        lines.pop(0)
    if not lines:
        raise InputError(f"{path} has no rows")
    return lines


def opened(path: Path) -> BinaryIO:
    """A table's file; InputError for what is none, as a named pipe, at which reading waits for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is {kind_of(path, mode)}; expected a table of photographs")
    return path.open("rb")


def unwrapped(field: str) -> str:
    """Without the formula ="001" in which tables carry ids so that Excel keeps their zeros."""
    return field[2:-1] if field.startswith('="') and field.endswith('"') and len(field) > 3 else field


def header(path: Path) -> list[str]:
    """The names in the first line, in the form of `read_table`; nothing where the file is no text.

    Raises InputError where the path leads to no regular file.
    """
    with opened(path) as file:
        data = file.read(MAX_HEADER)
    text = data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig", errors="replace")
    try:
        delimiter, text = delimited(unix_lines(text))
        lines = (
            [plain(unwrapped(name)) for name in line] for line in csv.reader(io.StringIO(text), delimiter=delimiter)
        )
        first = next((line for line in lines if any(line)), [])
    except csv.Error:
        return []
    return [column_name(name) for name in first]


def unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def delimited(text: str) -> tuple[str, str]:
    """What delimits the fields of the table, and the table without the line in which Excel says so."""
    first, _, rest = text.lstrip("\n").partition("\n")
    if first.lower().startswith(EXCELS_FIRST_LINE):
        return first[len(EXCELS_FIRST_LINE) :] or ",", rest

    def fit(delimiter: str) -> tuple[bool, int]:
        """Whether it gives the first two rows as many fields, and how many: a comma may be part of a column's name."""
        rows = csv.reader(io.StringIO(text[:MAX_HEADER].lstrip("\n")), delimiter=delimiter)
        first, second = next(rows, []), next(rows, [])
        return len(first) == len(second) > 1, len(first)

    return max(DELIMITERS, key=fit), text


def column_name(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_").replace("meta.clinical.", "")
