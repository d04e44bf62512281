"""docs/api.md: its snippets run one after the other, as they stand, on drawn photographs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.data.synthetic import write_sample

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.slow(reason="trains, converts and asks every question")
def test_the_snippets_run(tmp_path, no_photographs):
    """In a process of its own and another folder, as a user's program."""
    write_sample(tmp_path / "PAD-UFES-20", seed=3, patients=30)
    program = tmp_path / "program.py"
    program.write_text("\n".join(SNIPPETS) + "\nprint('page', page)\n")
    environment = {**__import__("os").environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(SNIPPETS) >= 10
    assert (tmp_path / "build" / "mine" / "report.html").is_file()
    assert "page build/mine/report.html" in done.stdout
