"""The manifests that every app must refuse or take are refused or taken here, and are what their script writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.manifest import from_json_value

FOLDER = Path(__file__).parents[1] / "golden" / "manifests"
VECTORS = json.loads((FOLDER / "cases.json").read_text("utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_same_manifests_are_refused(case: dict) -> None:
    changed = VECTORS["manifest"] | case["changes"]
    value = {key: part for key, part in changed.items() if case["changes"].get(key, part) is not None}
    if case["accepted"]:
        assert from_json_value(value, where="m").side == 32
    else:
        with pytest.raises(InputError, match=r"^m: "):
            from_json_value(value, where="m")


def test_the_file_is_what_the_script_writes() -> None:
    done = subprocess.run([sys.executable, str(FOLDER / "make.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
