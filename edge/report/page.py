"""The one report of a folder, report.html: a page that needs nothing else, made of a section per question asked.

Each command renders its own section and puts it in place here. The others stay as they are, for as long as they tell of
the same checkpoint and of the same files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.console import screen
from edge.errors import InputError
from edge.files import write_text
from edge.questions.parity.report import NOTICE

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = "report.html"
SECTIONS = ("parity", "layers", "mistakes", "robustness", "decision")  # in the order of the page
QUESTION = re.compile("<h2>(.*?)</h2>", re.S)  # each begins with the question that it answers
MAX_BYTES = 256 * 2**20  # of a page that is read to keep its other sections
# Everything between the two ends is ours and escaped, so neither end can occur in it.
BEGIN = '<section class="part" id="{name}" data-belongs="{belongs}">\n'
END = "\n</section><!-- end of {name} -->\n"
FOUND = re.compile(
    r'<section class="part" id="(\w+)" data-belongs="([^"]*)">\n(.*?)\n</section><!-- end of \1 -->', re.S
)


@dataclass(frozen=True)
class Belongs:
    """What a section tells of: a model's checkpoint, and the files it looked at by name."""

    model: str
    checkpoint_sha256: str
    files: Mapping[str, str]  # file name -> SHA-256

    def agrees(self, other: Belongs) -> bool:
        """Whether both may stand on one page: one checkpoint, and no file of one name but other contents."""
        shared = self.files.keys() & other.files.keys()
        return self.checkpoint_sha256 == other.checkpoint_sha256 and all(
            self.files[name] == other.files[name] for name in shared
        )


def belongs(report: Mapping[str, Any]) -> Belongs:
    """From a section's JSON; entries of its `files` without a digest (the float model itself) do not count."""
    files = {one["file"]: one["sha256"] for one in report.get("files", ()) if one.get("sha256")}
    return Belongs(report["model"], report["checkpoint_sha256"], files)


def template(package: str, name: str, **filters: Any) -> Template:
    """A Jinja template that escapes whatever came from outside (names, ids) and stops at a name it does not know."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"svg": Markup, **filters}  # svg: for our own plots only
    return made.from_string(resources.files(package).joinpath(name).read_text("utf-8"))


def whole(bodies: Mapping[str, str], about: Mapping[str, Belongs]) -> str:
    """The page of these sections (name -> HTML), in the order of SECTIONS."""
    names = [name for name in SECTIONS if name in bodies]
    told = about[names[0]]
    parts = [
        BEGIN.format(name=name, belongs=escape(json.dumps(vars(about[name])))) + bodies[name] + END.format(name=name)
        for name in names
    ]
    return template("edge.report", "report.html.j2").render(
        model=told.model,
        checkpoint=told.checkpoint_sha256,
        notice=NOTICE,
        contents=[(name, title.group(1)) for name in names if (title := QUESTION.search(bodies[name]))],
        sections="".join(parts),
    )


def place(folder: Path, name: str, body: str, about: Belongs) -> Path:
    """Put one section into the folder's page, with the others that agree with it; returns the page.

    InputError if the page cannot be written. A page that is damaged, too large or of something else is made anew.
    """
    page = Path(folder) / PAGE
    bodies, known, gone = {}, {}, []
    there = sections_of(page)
    for other, (belonging, text) in there.items():
        if other != name and about.agrees(belonging):
            bodies[other], known[other] = text, belonging
        elif other != name:
            gone.append(other)
    if gone:
        screen().print(
            f"{page} told of other files in {', '.join(gone)}; left out, make it again", soft_wrap=True, markup=False
        )
    elif page.exists() and not there:
        screen().print(f"{page} was damaged or none of ours; made anew", soft_wrap=True, markup=False)
    write_text(page, whole(bodies | {name: body}, known | {name: about}))
    return page


def sections_of(page: Path) -> dict[str, tuple[Belongs, str]]:
    """Section -> what it tells of, and its HTML; nothing if there is no such page, or none of ours."""
    try:
        if page.stat().st_size > MAX_BYTES:
            return {}
        text = page.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for name, belonging, body in FOUND.findall(text):
        try:
            facts = json.loads(unescape(belonging))
            about = Belongs(str(facts["model"]), str(facts["checkpoint_sha256"]), dict(facts["files"]))
        except (ValueError, KeyError, TypeError, InputError):
            continue
        if name in SECTIONS:
            found[name] = (about, body)
    return found
