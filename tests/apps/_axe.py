"""axe-core, which says what a person with a screen reader or weak eyes would miss on the page."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.files import moved_into_place
from edge.phones import browser, home
from edge.phones.chromium import Chromium

AXE = Path(__file__).with_name("axe")


class Found(NamedTuple):
    broken: list[str]  # rules, each with the elements that break it
    kept: list[str]


def script() -> Path:
    """axe-core of the lock, brought by npm once."""
    target = home() / f"axe-{hashlib.sha256((AXE / 'package-lock.json').read_bytes()).hexdigest()[:12]}"
    if not target.is_dir():
        if not shutil.which("npm"):
            pytest.skip("no npm, which brings axe-core: `apt-get install npm`")
        with moved_into_place(target) as new:
            shutil.copytree(AXE, new)
            done = subprocess.run(["npm", "ci", *browser.ONCE], cwd=new, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"npm cannot bring axe-core: {done.stderr.strip()[-200:]}")
    return target / "node_modules" / "axe-core" / "axe.min.js"


def rules(chromium: Chromium) -> Found:
    """The rules of WCAG 2.2 AA and good practice that the page as it is breaks and keeps."""
    chromium.evaluate(f"{script().read_text('utf-8')}; 0")
    return Found(**chromium.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']}).then((result) => ({"
        "broken: result.violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`), "
        "kept: result.passes.map(({id}) => id)}))"
    ))  # fmt: skip
