"""What earlier runtimes were seen to open is what a manifest's `opens_from` and the rules for apps say."""

from __future__ import annotations

import pytest

from benchmarks.old_runtimes import COLUMNS, TABLE, page_of, remember_rows, row_of, rows_in
from edge.bundles.app_runtimes import app_runtime, check_opens
from edge.errors import InputError
from tests.edge._manifests import entry

ROWS = rows_in(TABLE)


def is_said_to_open(row: dict[str, str]) -> bool:
    """By the rules with which a bundle for an app is made."""
    library = "litert" if row["runtime"] == "litert" else "tflite"
    file = entry(f"net-{row['recipe']}.tflite", opens_from=row["opens_from"])
    try:
        check_opens(file, app_runtime(f"{library}-{row['version']}", "android"))
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{r['model']} {r['recipe']} in {r['runtime']} {r['version']}" for r in ROWS]
)
def test_a_file_opens_where_it_is_said_to_and_is_right_there(row):
    assert (row["opens"] == "yes") == is_said_to_open(row)
    assert row["opens"] == "no" or (float(row["same_class"]) == 1 and float(row["largest_delta_p"]) < 0.05)


def test_the_table_has_every_recipe_in_runtimes_of_three_families():
    ours = [row for row in ROWS if row["model"] == "hierattn_xs"]
    seen = {(row["runtime"], row["version"], row["processor"]) for row in ours}
    assert {library for library, _, _ in seen} >= {"tflite-runtime", "litert", "android-x86_64"}
    for place in seen:
        here = [row["recipe"] for row in ours if (row["runtime"], row["version"], row["processor"]) == place]
        assert len(set(here)) == len(here) == 6


def test_a_run_replaces_its_own_rows_alone(tmp_path):
    table = tmp_path / "table.csv"
    ran = {"statistics": {"agreement": {"value": 1.0}, "largest_delta_p": 3e-7}, "images": 3, "times_fp32": None}
    first = row_of("net", "fp32", "LiteRT / TFLite 2.8", "litert:1.2.0", ran)
    assert tuple(first) == COLUMNS and first["opens"] == "yes" and first["times_fp32"] == ""
    remember_rows(table, [first, row_of("net", "fp16", "LiteRT / TFLite 2.8", "litert:1.2.0", None)])
    remember_rows(table, [row_of("net", "fp32", "LiteRT / TFLite 2.8", "litert:1.2.0:cortex-a76", ran)])
    remember_rows(table, [row_of("net", "fp32", "LiteRT / TFLite 2.8", "litert:1.2.0", {**ran, "images": 6})])
    rows = rows_in(table)
    assert [(row["recipe"], row["processor"], row["photographs"]) for row in rows] == [
        ("fp16", first["processor"], ""), ("fp32", "cortex-a76", "3"), ("fp32", first["processor"], "6"),
    ]  # fmt: skip
    page = page_of(rows, "net").splitlines()
    assert page[0] == "| runtime | fp16 | fp32 |" and "| litert 1.2.0, cortex-a76 | not run | 100%; 3e-07 |" in page
    assert f"| litert 1.2.0, {first['processor']} | refused | 100%; 3e-07 |" in page
    assert page_of(rows, "other").splitlines()[2:] == []
