"""The apps hold manifests against the rules of edge/manifest.schema.json, which a script writes into each of them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from edge.manifest import schema
from tests._sources import ROOT

SCRIPT = ROOT / "apps" / "write_schema.py"
spec = importlib.util.spec_from_file_location("write_schema", SCRIPT)
assert spec and spec.loader
writer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writer)


def test_every_app_has_the_schema_of_today() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_the_apps_do_not_read_is_not_written() -> None:
    for rule in ({"type": "string", "format": "date"}, {"pattern": "[a-z]+"}, {"pattern": r"^\d+\b$"}):
        with pytest.raises(ValueError, match=r"do not know|no pattern of a whole text|not the same"):
            writer.rule_of({"type": "object", "properties": {"new": rule}})


def test_what_the_web_page_reads_is_the_schema_without_its_words() -> None:
    text = (ROOT / "apps/web_demo/core/manifest_schema.js").read_text("utf-8")
    rule = json.loads(text.partition("= ")[2].rstrip().rstrip(";"))
    assert rule["required"] == schema()["required"] and rule["defs"].keys() == schema()["$defs"].keys()
    assert rule["properties"]["labels"]["items"]["properties"]["code"]["pattern"] == r"[\p{L}\p{N}_-]{1,64}"
    assert "description" not in text and "$" not in text
