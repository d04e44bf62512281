"""LiteRT.js, which runs .tflite files in a browser by WebAssembly: npm's packages, and the page that answers.

`package-lock.json` beside `page.js` names each package by version and checksum; npm takes them from the registry that
it is configured for. Their folder is named after that lock, so that a new lock is set up anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from edge.errors import InputError
from edge.files import moved_into_place
from edge.locks import alone_in
from edge.patience import INSTALL_S, in_time

from . import chromium, home, not_set_up
from .chromium import Chromium, PageError
from .site import Site

SOURCES = Path(__file__).with_name("litertjs")
LOCK = SOURCES / "package-lock.json"
PACKAGE = "node_modules/@litertjs/core"
LITERTJS = str(json.loads(LOCK.read_text(encoding="utf-8"))["packages"][PACKAGE]["version"])
ONCE = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]


def folder() -> Path:
    return home() / f"browser-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def is_set_up() -> bool:
    return (folder() / PACKAGE).is_dir()


def set_up() -> Path:
    """Download LiteRT.js by npm and open it in Chromium once; the folder. Replaces what an earlier set-up left.

    Raises InputError without npm or Chromium, where npm cannot give the packages, with what it said, and where the
    page does not start; what was there before then stays.
    """
    chromium.program()
    if not shutil.which("npm"):
        raise InputError("no npm, which fetches LiteRT.js: `apt-get install npm`")
    target = folder()
    with alone_in(target.parent), moved_into_place(target) as new:
        new.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, new / name)
        with in_time("`npm ci`"):
            done = subprocess.run(["npm", "ci", *ONCE], cwd=new, capture_output=True, text=True, timeout=INSTALL_S)
        if done.returncode:
            lines = [line for line in done.stderr.strip().splitlines() if "npm error" in line] or ["it gave no reason"]
            raise InputError(f"`npm ci` failed: {'; '.join(lines)[:300]}")
        try:
            browser, site = page_from(new)
        except PageError as error:
            raise InputError(f"LiteRT.js {LITERTJS} does not start here: {error}") from error
        browser.close()
        site.close()
    return target


def page(model: Path | None = None) -> tuple[Chromium, Site]:
    """A browser with the page of page.js open, which finds the .tflite as `/model.tflite`; close both.

    Raises InputError where LiteRT.js is not set up, and PageError where the page does not load.
    """
    if not is_set_up():
        raise not_set_up(folder(), f"LiteRT.js {LITERTJS}", "dermedge setup browser")
    return page_from(folder(), model)


def page_from(packages: Path, model: Path | None = None) -> tuple[Chromium, Site]:
    """The same with npm's packages of any folder. Whatever it raises, nothing stays open."""
    places = {"/": SOURCES, "/litertjs/": packages / "node_modules" / "@litertjs"}
    if model is not None:
        places["/model.tflite"] = model
    with ExitStack() as opened:
        site = Site(places)
        opened.callback(site.close)
        browser = Chromium()
        opened.callback(browser.close)
        browser.open(f"{site.address}/")
        if browser.evaluate("typeof globalThis.answer") != "function":
            raise PageError("its modules do not load in this browser")
        opened.pop_all()
    return browser, site
