"""What Chromium and Android 14 to 16 make of every way in which a file states its colour, beside `read_photo`.

    python benchmarks/colour_decoders.py

The files are drawn by the computer (benchmarks/_colour_cases.py). Each decoder is asked for sRGB; a row says whether it
gives the bytes of `read_photo` within a level, shows the stored pixels as they are ("plain"), shows something else, or
refuses. Chromium and Android's decoders are run where they are installed: benchmarks/_chromium.py and _android.py say
what they need. Prints a table and writes --out/colour_decoders.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.colour_decoders`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from dermedge.console import entry, screen
from edge.errors import GOOD, InputError
from edge.files import write_json
from edge.progress import busy

from . import _android, _chromium
from ._colour_cases import Case, cases
from ._colour_files import plain
from ._flags import add_out

MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "HEIF": "image/heic", "AVIF": "image/avif"}
SAME = 1  # levels of 255
Decoded = np.ndarray | str


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    ways = cases()
    contents = {name: case.make() for name, case in ways.items()}
    columns: dict[str, Mapping[str, Decoded]] = {"dermedge": {name: ours(contents[name]) for name in ways}}
    missing: dict[str, str] = {}
    for decoder, decode in (("Chromium", by_chromium), ("Android", by_android)):
        try:
            with busy(f"decoding by {decoder}"):
                columns |= decode(ways, contents)
        except InputError as error:
            missing[decoder] = str(error)
    rows = [row(name, case, columns) for name, case in ways.items()]
    write_json(args.out / "colour_decoders.json", {"not_run": missing, "rows": rows})
    for each in rows:
        cells = ", ".join(f"{column}: {each[column]}" for column in columns)
        screen().print(f"{each['file']:45} {cells}", soft_wrap=True, markup=False)
    for decoder, reason in missing.items():
        screen().print(f"{decoder} was not run: {reason}", soft_wrap=True, markup=False)
    return GOOD


def ours(contents: bytes) -> Decoded:
    from edge.capture import read_photo

    try:
        return read_photo(contents)
    except InputError as error:
        return str(error)


def by_chromium(ways: Mapping[str, Case], contents: Mapping[str, bytes]) -> dict[str, Mapping[str, Decoded]]:
    version, decoded = _chromium.decode_all({name: (MIME[case.form], contents[name]) for name, case in ways.items()})
    return {version: decoded}


def by_android(ways: Mapping[str, Case], contents: Mapping[str, bytes]) -> dict[str, Mapping[str, Decoded]]:
    """HEIC and AVIF are left out: a phone's media service decodes them, which is not here."""
    here = {name: data for name, data in contents.items() if ways[name].form not in ("HEIF", "AVIF")}
    columns = _android.decode_all(here)
    absent = dict.fromkeys(contents.keys() - here.keys(), "not here")
    return {f"{version}, {decoder}": {**decoded, **absent} for (version, decoder), decoded in columns.items()}


def row(name: str, case: Case, columns: Mapping[str, Mapping[str, Decoded]]) -> dict[str, Any]:
    right, raw = columns["dermedge"][name], stored(case.form)
    return {"file": name} | {
        column: verdict(decoded[name], right if column != "dermedge" else None, raw)
        for column, decoded in columns.items()
    }


def verdict(seen: Decoded, right: Decoded | None, raw: np.ndarray) -> str:
    """`right` is what dermedge makes of it; None for dermedge itself."""
    if isinstance(seen, str):
        return "not here" if seen == "not here" else "refused"
    if isinstance(right, np.ndarray) and apart(seen, right) <= SAME:
        return "same"
    if apart(seen, raw) <= SAME:
        return "plain"
    if right is None:
        return f"converted, up to {apart(seen, raw)} levels"
    return f"up to {apart(seen, right)} levels off" if isinstance(right, np.ndarray) else "shown"


def apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(abs(a.astype(int) - b).max()) if a.shape == b.shape else 255


def stored(form: str) -> np.ndarray:
    """The card as the format keeps it."""
    from PIL import Image

    with Image.open(io.BytesIO(plain(form))) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    raise SystemExit(main())
