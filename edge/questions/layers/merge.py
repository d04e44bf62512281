"""What a folder's layers.json already says of files that were not looked into this time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge import artifact
from edge.errors import InputError
from edge.files import read_json

log = logging.getLogger("dermedge")

SAME = ("schema", "checkpoint_sha256", "dermedge", "data")  # what two reports share if one may complete the other


def with_other_files(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The report with the files that only the folder's report tells of, in the order of the manifest.

    The log says so where they cannot be kept: they were looked into with other photographs, or have changed since.
    """
    path = folder / "layers.json"
    if not path.is_file():
        return report
    try:
        before = read_json(path, expected=f"a report of layers ({report['schema']})")
        others = {file["file"]: file for file in before["files"]}
        digests = {name: file["sha256"] for name, file in others.items()}
    except (InputError, KeyError, TypeError):
        return report  # damaged; the page would leave it out as well
    mine = {file["file"]: file for file in report["files"]}
    rest = {name: file for name, file in others.items() if name not in mine}
    if not rest:
        return report
    if any(before.get(key) != report.get(key) for key in SAME):
        log.warning(
            "%s told of %d other files, with other photographs or by another version; it tells of %s alone now",
            path, len(rest), ", ".join(mine),
        )  # fmt: skip
        return report
    kept = {name: file for name, file in rest.items() if current(folder).get(name, digests[name]) == digests[name]}
    order = [*current(folder), *others, *mine]
    files = sorted([*kept.values(), *mine.values()], key=lambda file: order.index(file["file"]))
    return {**report, "files": files}


def current(folder: Path) -> Mapping[str, str]:
    """File name -> digest, by the folder's manifest; nothing where there is none."""
    try:
        return {entry.file: entry.sha256 for entry in artifact.read(folder).files}
    except InputError:
        return {}
