"""Jinja templates that escape whatever came from outside."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


@cache  # a page is rendered once for every question asked
def template(package: str, name: str, **filters: Any) -> Template:
    """A template of a package. It escapes names and ids, and stops at a variable that it does not know."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"svg": Markup, **filters}  # svg: for our own plots only
    return environment.from_string(resources.files(package).joinpath(name).read_text("utf-8"))
