"""The manifests that every app must refuse or take are refused or taken here, and are what their script writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.errors import InputError
from edge.manifest import first_fault, from_json_value, schema

FOLDER = Path(__file__).parents[1] / "golden" / "manifests"
VECTORS = json.loads((FOLDER / "cases.json").read_text("utf-8"))


def changed(case: dict[str, Any]) -> Any:
    changes = case.get("changes", {})
    value = VECTORS["manifest"] | changes
    return {key: part for key, part in value.items() if changes.get(key, part) is not None}


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["cases"] if "part" not in case], ids=lambda case: case["name"]
)
def test_the_same_manifests_are_refused(case: dict[str, Any]) -> None:
    if case["accepted"]:
        assert from_json_value(changed(case), where="m").side == 32
    else:
        with pytest.raises(InputError, match=r"^m: "):
            from_json_value(changed(case), where="m")


def test_the_file_is_what_the_script_writes() -> None:
    """Of those with one other part it looks, too, that Python refuses or takes them."""
    done = subprocess.run([sys.executable, str(FOLDER / "make.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_required_key_is_taken_away_once() -> None:
    required = json.dumps(schema()).count('"required"')
    places = {tuple(case["part"]["at"][:-1]) for case in VECTORS["cases"] if case.get("part", {}).keys() == {"at"}}
    assert len(places) == required  # one place for each object that the schema describes


def test_a_part_of_the_schema_that_no_case_is_under_is_noticed() -> None:
    spec = importlib.util.spec_from_file_location("from_schema", FOLDER / "from_schema.py")
    assert spec and spec.loader
    from_schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(from_schema)
    poorer = {key: part for key, part in VECTORS["manifest"].items() if key != "mask"}
    with pytest.raises(ValueError, match="properties/mask"):
        from_schema.spoilt(poorer, schema())


def test_a_line_behind_a_name_is_no_part_of_it() -> None:
    """Python's `$` alone takes it, and no other language's whole match."""
    for pattern in ("^[0-9a-f]{2}$", "^[a-z]+\\.png$"):
        for text in ("ab", "ab.png"):
            assert first_fault(f"{text}\n", {"type": "string", "pattern": pattern}) is not None
    assert first_fault("ab", {"type": "string", "pattern": "^[0-9a-f]{2}$"}) is None
