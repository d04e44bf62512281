"""The table of several sets as Parquet, for tables that a CSV is too slow or too large for; all columns are text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.data.listing import MAX_PHOTOS
from edge.errors import InputError, install

MAX_BYTES = 2**28  # packed; a million rows like those of ISIC took 3 MB
MAX_UNPACKED = 2**31  # bytes; they took 90 MB


def write(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """InputError without pyarrow."""
    check_installed(path)
    import pyarrow as pa
    from pyarrow import parquet

    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(names))]
    parquet.write_table(pa.table(columns, list(names)), path, compression="zstd")


def read(path: Path) -> list[dict[str, str]]:
    """The rows, with empty text where a field has none.

    Raises InputError without pyarrow, and for a file that is none of `write`'s: damaged, too large, or with other
    columns than text. Fields that are equal are one text in memory, as they are in the file: 200,000 rows of one text
    of 5,000 letters take 847 bytes there and would be 1 GB.
    """
    check_installed(path)
    import pyarrow as pa
    from pyarrow import parquet

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes; expected a table of photographs")
    try:
        with parquet.ParquetFile(path) as file:
            facts, schema = file.metadata, file.schema_arrow
            size = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
            if not 0 < facts.num_rows <= MAX_PHOTOS or not facts.num_columns or size > MAX_UNPACKED:
                raise InputError(f"{path} has {facts.num_rows} rows of {size} bytes; expected a table of photographs")
            other = next((field.name for field in schema if field.type != pa.string()), None)
            if other is not None:
                raise InputError(f"{path}: the column {other} is no text; join the sets again")
            names = list(schema.names)
            if len(set(names)) < len(names):
                raise InputError(f"{path} has a column twice; join the sets again")
        with parquet.ParquetFile(path, read_dictionary=names) as file:
            return rows_in(file, path, names)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({str(error)[:200]}); join the sets again") from error


def rows_in(file: Any, path: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """The rows of an open file, group by group; InputError once they are more than MAX_UNPACKED bytes."""
    rows: list[dict[str, str]] = []
    size = 0
    for number in range(file.metadata.num_row_groups):
        group = file.read_row_group(number)
        size += group.nbytes  # what the file says of its size above is not what it has to hold
        if size > MAX_UNPACKED:
            raise InputError(f"{path} holds more than {MAX_UNPACKED} bytes; expected a table of photographs")
        columns = [texts_in(group.column(name)) for name in names]
        rows += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return rows


def texts_in(column: Any) -> list[str]:
    """Of a column that is read as numbers of distinct texts."""
    texts: list[str] = []
    for chunk in column.chunks:
        distinct = chunk.dictionary.to_pylist()
        texts += ["" if number is None else distinct[number] or "" for number in chunk.indices.to_pylist()]
    return texts


def is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def check_installed(path: Path) -> None:
    if not is_installed():
        raise InputError(f"{path.name} needs pyarrow: {install('parquet')}")
