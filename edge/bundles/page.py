"""The web page of apps/web_demo with one bundle, served on this machine."""

from __future__ import annotations

from pathlib import Path

from edge.errors import InputError
from edge.phones import browser, not_set_up
from edge.phones.site import Site

PAGE = Path(__file__).parents[2] / "apps" / "web_demo"  # in a clone; a wheel has no apps


def served(model: Path, *, port: int = 0, page: Path = PAGE) -> Site:
    """The page at `/`, the bundle's folder `model` at `/model/`, LiteRT.js at `/litertjs/`; port 0 is any free one.

    Raises InputError where LiteRT.js is not set up, the page is not there, or the port is taken.
    """
    if not (page / "index.html").is_file():
        raise InputError(f"no web page at {page}; it is part of dermedge's repository, not of the installed package")
    if not browser.is_set_up():
        raise not_set_up(browser.folder(), f"LiteRT.js {browser.LITERTJS}", "dermedge setup browser")
    places = {"/": page, "/model/": model, "/litertjs/": browser.folder() / "node_modules" / "@litertjs"}
    return Site(places, port=port)
