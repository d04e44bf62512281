"""Google's metadata inside a .tflite, which MediaPipe, Android Studio and Netron read: how it is written.

A buffer of the file called `TFLITE_METADATA` holds a flatbuffer of its own (metadata_schema.fbs 1.5.0, in MediaPipe's
sources), and behind the whole file stands a ZIP archive with the files that it names, such as the labels. Google's own
writers of it need TensorFlow or a Python that is no longer made.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENTRY = b"TFLITE_METADATA"  # name of the metadata entry in the file
IDENTIFIER = b"M001"
PARSER = "1.0.0"  # min_parser_version: no field of `FIELDS` that is written here came later
LABELS_OF_AXIS, DESCRIPTIONS = 2, 1  # AssociatedFileType
RGB, GRAYSCALE = 1, 2  # ColorSpaceType
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the archive, so that the same conversion gives the same bytes

# Tables of the schema with their fields in its order; a union has two places, its kind before its table.
FIELDS: dict[str, tuple[str, ...]] = {
    "ModelMetadata": (
        "name", "description", "version", "subgraph_metadata", "author", "license", "associated_files",
        "min_parser_version",
    ),
    "SubGraphMetadata": ("name", "description", "input_tensor_metadata", "output_tensor_metadata"),
    "TensorMetadata": (
        "name", "description", "dimension_names", "content", "process_units", "stats", "associated_files",
    ),
    "AssociatedFile": ("name", "description", "type", "locale"),
    "Content": ("content_properties_type", "content_properties"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space", "default_size"),
    "ImageSize": ("width", "height"),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
}  # fmt: skip
UNIONS = {"FeatureProperties": 1, "ImageProperties": 2, "NormalizationOptions": 1}  # table -> its kind in its union
WIDE = {"width", "height"}  # fields of four bytes; all other whole numbers are of one


@dataclass(frozen=True)
class Table:
    """A table of the schema: text, whole numbers, lists of float32 numbers, tables and lists of tables by field."""

    kind: str
    fields: Mapping[str, Any]


def table(kind: str, **fields: Any) -> Table:
    """One without the fields that are None. Raises KeyError for a table or a field that `FIELDS` does not have."""
    unknown = fields.keys() - set(FIELDS[kind])
    if unknown:
        raise KeyError(f"{kind} has no {', '.join(sorted(unknown))}")
    return Table(kind, {name: value for name, value in fields.items() if value is not None})


def member(field: str, value: Table) -> dict[str, Any]:
    """Both places of a union."""
    return {f"{field}_type": UNIONS[value.kind], field: value}


def packed(root: Table) -> bytes:
    """The flatbuffer of a ModelMetadata."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(written(builder, root), IDENTIFIER)
    return bytes(builder.Output())


def written(builder: Any, value: Any) -> int:
    """The place of a text, list or table in the flatbuffer, with all that it refers to before it."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, Table):
        places = {
            field: content if isinstance(content, int) else written(builder, content)
            for field, content in value.fields.items()
        }
        names = FIELDS[value.kind]
        builder.StartObject(len(names))
        for field, place in places.items():
            if not isinstance(value.fields[field], int):
                builder.PrependUOffsetTRelativeSlot(names.index(field), place, 0)
            elif field in WIDE:
                builder.PrependUint32Slot(names.index(field), place, 0)
            else:
                builder.PrependUint8Slot(names.index(field), place, 0)
        return builder.EndObject()
    numbers = all(isinstance(item, float) for item in value)
    items = value if numbers else [written(builder, item) for item in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        (builder.PrependFloat32 if numbers else builder.PrependUOffsetTRelative)(item)
    return builder.EndVector()


def with_files(content: bytes, files: Mapping[str, str]) -> bytes:
    """A .tflite with texts behind it as a ZIP archive. They are stored as they are: MediaPipe maps them into memory."""
    behind = io.BytesIO(content)
    with zipfile.ZipFile(behind, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())
    return behind.getvalue()
