"""Pictures of a report: encoded as data addresses, and kept beside its JSON.

Photographs' names come from strangers, so no file is named after one: the pictures of a question are one JSON file,
`report_files/<question>.pictures.json`, name -> address, with the SHA-256 of the report that they belong to.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.files import read_json

log = logging.getLogger("dermedge")

SCHEMA = "dermedge/pictures/1"
FOLDER = "report_files"
THUMBNAIL = 160  # pixels, the longer side
MOST = 500  # pictures of a question
# Nothing else may stand in an `src` or a style sheet of the page.
ADDRESS = re.compile("data:image/(?:jpeg|png);base64,[A-Za-z0-9+/]+={0,2}")


def jpeg(picture: np.ndarray, *, name: str = "a picture") -> str:
    """A data address of a small JPEG. `picture`: uint8 RGB (height, width, 3); ValueError for anything else."""
    image = image_of(picture, name)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return address(image, "jpeg", quality=82)


def png(picture: np.ndarray, *, name: str = "a picture") -> str:
    """A data address of every pixel as it is; a JPEG would hide what a resize does."""
    return address(image_of(picture, name), "png", optimize=True)


def image_of(picture: np.ndarray, name: str) -> Any:
    from PIL import Image

    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"{name!r}: expected uint8 (height, width, 3), got {picture.dtype} {picture.shape}")
    return Image.fromarray(picture)


def address(image: Any, form: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form.upper(), **options)
    return f"data:image/{form};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def path_of(folder: Path, question: str) -> Path:
    """Where the pictures of one of our questions lie."""
    return folder / FOLDER / f"{question}.pictures.json"


def to_json_value(pictures: Mapping[str, str], report_sha256: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "report_sha256": report_sha256, "pictures": dict(pictures)}


def read(folder: Path, question: str, report_sha256: str) -> dict[str, str]:
    """Name -> address of the pictures that belong to a report; none, with a note, if the file is damaged."""
    path = path_of(folder, question)
    if not path.exists():
        return {}
    try:
        value = read_json(path, expected=f"pictures ({SCHEMA})")
    except InputError as error:
        log.warning("the page goes without pictures: %s", error)
        return {}
    pictures = value.get("pictures")
    if value.get("schema") != SCHEMA or not isinstance(pictures, dict) or len(pictures) > MOST:
        log.warning("the page goes without the pictures in %s, which holds something else", path)
        return {}
    if value.get("report_sha256") != report_sha256:
        log.warning("the page goes without the pictures in %s, which are of another report", path)
        return {}
    return {name: value for name, value in pictures.items() if isinstance(value, str) and ADDRESS.fullmatch(value)}
