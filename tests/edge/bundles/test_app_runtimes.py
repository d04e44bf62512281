"""Whether an app's runtime opens a file: the golden vectors that the Android app is held against too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.bundles.app_runtimes import app_runtime, check_opens
from edge.errors import InputError
from edge.manifest import Audit
from tests._sources import ROOT
from tests.edge._manifests import entry

CASES = json.loads((ROOT / "tests" / "golden" / "opens" / "cases.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_file_is_refused_for_a_runtime_that_does_not_open_it(case: dict[str, Any]) -> None:
    names = case["operators"]
    audit = None if names is None else Audit(dict.fromkeys(names, 1), 4, 0, 0, 1, 0, 1)
    file = entry(recipe=case["recipe"], opens_from=case["opens_from"], audit=audit)
    runtime = app_runtime(f"{case['library']}-{case['version']}", "android")
    try:
        check_opens(file, runtime)
        opens = True
    except InputError:
        opens = False
    assert opens == case["opens"]
