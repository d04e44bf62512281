"""Both roads to TFLite, one after the other, and what they differ in."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dermedge._rooms import room
from dermedge.console import screen
from edge.errors import GATE_FAILED
from edge.files import write_json

from ._conversion import OLD_ROAD, converted

if TYPE_CHECKING:
    from rich.table import Table

    from convert._onnx_tf.compare import Comparison

COMPARED = 16  # images
RECORD = "routes.json"


def both(args: argparse.Namespace) -> int:
    """Convert by both roads, fp32 and fp16 where no recipe is named; compare the fp32 files, and the exit code."""
    from edge.data.squares import load_squares

    room("convert._onnx_tf.road").check_set_up()  # said before the first road is taken
    recipes = args.recipe or ["fp32", "fp16"]
    recipes = recipes if "fp32" in recipes else ["fp32", *recipes]
    code, direct = converted(argparse.Namespace(**vars(args) | {"recipe": recipes}), "tflite")
    beside = direct.folder.with_name(direct.folder.name + OLD_ROAD)
    old_code, old = converted(argparse.Namespace(**vars(args) | {"recipe": recipes, "out": beside}), "onnx_tf")
    name = f"{direct.checkpoint.model}-fp32.tflite"
    files = direct.folder / name, old.folder / name
    if not all(path.is_file() for path in files):
        screen().print("a road left no fp32 file, so there is nothing to compare")
        return GATE_FAILED
    _, images = load_squares(direct.photos, direct.checkpoint.preprocess.side, skip_unreadable=args.skip_unreadable)
    comparison = room("convert._onnx_tf.compare").compared(*files, images[:COMPARED])
    write_json(old.folder / RECORD, {"file": name, "images": len(images[:COMPARED])} | comparison.to_json())
    screen().print(table_of(comparison))
    screen().print(words_of(comparison), soft_wrap=True)
    return max(code, old_code)


def table_of(comparison: Comparison) -> Table:
    from rich.table import Table

    table = Table(title="the fp32 files of both roads, operator by operator")
    for title in ("operator", "direct", "onnx-tf"):
        table.add_column(title, justify="left" if title == "operator" else "right")
    for name, (direct, old) in comparison.operators.items():
        table.add_row(name, str(direct), str(old))
    table.add_section()
    rows = list(zip(*comparison.operators.values(), strict=True))
    table.add_row("all", *(str(sum(column)) for column in rows))
    table.add_row("bytes", *(f"{size:,}" for size in comparison.bytes))
    table.add_row("MB moved by TRANSPOSE and RESHAPE", *(f"{size / 1e6:.1f}" for size in comparison.layout_bytes))
    table.add_row("XNNPACK pieces", *(str(pieces) for pieces in comparison.xnnpack_pieces))
    return table


def words_of(comparison: Comparison) -> str:
    missing = comparison.first_not_found
    first = f"; the first that it does not compute is {missing}" if missing else ""
    return (
        f"onnx-tf takes {comparison.time_ratio:.2f} times as long here; largest |Δp| between both "
        f"{comparison.largest_delta_p:.2g}, median SQNR {comparison.sqnr_db_median:.1f} dB; of {comparison.layers} "
        f"results of layers the file of onnx-tf computes {comparison.layers_found}{first}"
    )
