"""The web page of apps/web_demo with one bundle: served on this machine, or written whole for another web server."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge import artifact
from edge.errors import InputError
from edge.files import LEFT_BEHIND, moved_into_place
from edge.phones import browser, not_set_up
from edge.phones.site import Site

PAGE = Path(__file__).parents[2] / "apps" / "web_demo"  # in a clone; a wheel has no apps
START = "index.html"
OWN = ("app.webmanifest", f"model/{artifact.MANIFEST}")  # what only a page of ours has beside its index.html
NOT_SERVED = shutil.ignore_patterns("test", "README.md", "package.json")  # of apps/web_demo
NOT_RUN = shutil.ignore_patterns("*.map", "*.d.ts", "*metafile*")  # of LiteRT.js; its licence stands in package.json


def served(model: Path, *, port: int = 0, page: Path = PAGE) -> Site:
    """The page at `/`, the bundle's folder `model` at `/model/`, LiteRT.js at `/litertjs/`; port 0 is any free one.

    Raises InputError where LiteRT.js is not set up, the page is not there, or the port is taken.
    """
    return Site({"/": page_of(page), "/model/": model, "/litertjs/": litertjs()}, port=port)


def written(model: Path, target: Path, *, page: Path = PAGE) -> Path:
    """The same as one folder, for any web server; it replaces an earlier one there. Returns `target`.

    Raises InputError where LiteRT.js is not set up, the page is not there, or `target` holds something else.
    """
    source, runtime = page_of(page), litertjs()
    check_replaceable(target)
    with moved_into_place(target) as new:
        shutil.copytree(source, new, ignore=NOT_SERVED)
        shutil.copytree(model, new / "model")
        shutil.copytree(runtime, new / "litertjs", ignore=NOT_RUN)
    return target


def page_of(page: Path) -> Path:
    if not (page / START).is_file():
        raise InputError(f"no web page at {page}; it is part of dermedge's repository, not of the installed package")
    return page


def litertjs() -> Path:
    if not browser.is_set_up():
        raise not_set_up(browser.folder(), f"LiteRT.js {browser.LITERTJS}", "dermedge setup browser")
    return browser.folder() / "node_modules" / "@litertjs"


def check_replaceable(target: Path) -> None:
    """InputError where something lies at the place that is no page of ours."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, and a folder goes there; give another name with `out`")
    if not target.is_dir() or all(path.name in LEFT_BEHIND for path in target.iterdir()):
        return
    if not all((target / name).is_file() for name in (START, *OWN)):
        raise InputError(
            f"{target} holds something else than an earlier page, and would be replaced as a whole; move it away, or "
            "give another name with `out`"
        )
