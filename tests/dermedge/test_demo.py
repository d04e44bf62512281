"""`make demo`, whole: what a newcomer types first runs through and leaves what it promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_make_demo_is_this_command():
    recipe = re.search(r"^demo:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe and recipe[1] == "$(BIN)/dermedge demo --out $(DEMO)"


@pytest.mark.slow(reason="`make demo` from training to report")
def test_the_whole_demo(tmp_path):
    """Sample, training, both formats, report: from another folder, with a cache of its own and no photographs."""
    environment = {key: value for key, value in os.environ.items() if key != "DERMEDGE_PHOTOS"}
    environment |= {"PYTHONPATH": str(ROOT), "DERMEDGE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dermedge.cli", "demo", "--out", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    built = tmp_path / "demo" / "hierattn_xs"
    manifest = json.loads((built / "manifest.json").read_text())
    assert {entry["format"] for entry in manifest["files"]} == {"tflite", "mlpackage"}
    assert "<h2" in (built / "report.html").read_text() and (tmp_path / "demo" / "run" / "curves.png").is_file()
    assert "computer-drawn" in done.stdout and "Traceback" not in done.stderr
