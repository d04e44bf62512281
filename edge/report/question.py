"""What a question leaves: a report as plain JSON values, its pictures, and how both come into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edge import checks

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class QuestionReport:
    """The answer to one question. `report` is what `<name>.json` holds; everything that is shown is made of it."""

    name: ClassVar[str]  # of the question: a key of edge.report.page.QUESTIONS

    report: dict[str, Any]
    pictures: Mapping[str, str] = field(default_factory=dict)  # name -> data address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.report.get('model', 'several models')}: {self.verdict}>"

    @property
    def verdict(self) -> str:
        """The worst of all that was judged: pass, fail, inconclusive or reported; of no gate, reported."""
        return "fail" if self.failed else str(self.report.get("verdict", "reported"))

    @property
    def failed(self) -> list[str]:
        """What did not pass a binding gate; of a question without a gate nothing."""
        return self.failing()

    def failing(self, *, strict: bool = False) -> list[str]:
        """What did not pass its gate; `strict`: also where the gate only reports."""
        return []

    def tables(self) -> list[Table | str]:
        """What a terminal shows, for rich's console."""
        return []

    def other_files(self) -> dict[str, str]:
        """File name -> text of what is written beside the JSON."""
        return {}

    def _repr_html_(self) -> str:
        """The question's section of the page, for notebooks."""
        from edge.report.page import module_of

        return f"<div class='dermedge-{self.name}'>{module_of(self.name).section(self.report, self.pictures)}</div>"

    def write(self, folder: str | Path) -> Path:
        """Write `<name>.json` with its pictures and render the folder's page again; returns the page.

        All is made before the first file is written. InputError if `folder` cannot be written, or holds the files of
        another checkpoint.
        """
        from edge.report.page import write_question

        folder = checks.path(folder, "folder", "the folder to write into")
        return write_question(folder, self.name, self.report, self.pictures, self.other_files())
