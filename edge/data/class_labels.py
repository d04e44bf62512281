"""Which class a folder stands for: by labels.json, else by its name."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from edge.data.csv_table import plain
from edge.errors import InputError
from edge.files import read_json
from edge.labels import PAD_UFES_20, Label, doubtful, from_json

LABELS = "labels.json"
KEYS = {"code", "name", "malignant", "folders"}  # of a class in it
NAMES_SHOWN = 5
ADVICE = 'name it in labels.json: {"code": "BCC", "name": "basal cell carcinoma", "folders": ["this folder"], …}'


def labels_file(folder: Path) -> Path | None:
    """The folder's labels.json, in whatever capitals; InputError where there are two."""
    files = sorted(path for path in folder.iterdir() if path.name.casefold() == LABELS and path.is_file())
    if len(files) > 1:
        raise InputError(f"{files[0]} and {files[1]} are both labels of {folder}; keep one")
    return files[0] if files else None


def labels_of(folder: Path, names: list[str]) -> tuple[dict[str, Label], tuple[Label, ...], list[str]]:
    """The class of each folder, the classes in output order, and notes."""
    file = labels_file(folder)
    if file is None:
        labels = {name: label_named(folder, name) for name in names}
        refuse_one_class(folder, labels)
        classes = tuple(labels.values())
        notes = [f"no {LABELS} in {folder}: classes in alphabetical order, {of_malignancy(classes)}"]
        renamed = [f"{plain(name)} is {label.code}" for name, label in labels.items() if plain(name) != label.code]
        if renamed:
            notes.append(f"codes of folders with spaces or marks: {', '.join(renamed)}")
        return labels, classes, notes
    listed = read_json(file, expected="class labels").get("classes")
    classes = from_json(listed, where=str(file))  # which refuses all but a list
    assert isinstance(listed, list)
    strange = sorted({str(key) for item in listed for key in item} - KEYS)
    slips = [
        (str(key), near[0])
        for item in listed
        for key in item
        if key not in KEYS and (near := difflib.get_close_matches(str(key), KEYS, n=1)) and near[0] not in item
    ]
    if slips:
        raise InputError(f"{file} has the key {slips[0][0]!r}, which nobody reads; did you mean {slips[0][1]!r}?")
    own: dict[str, Label] = {}
    for item, label in zip(listed, classes, strict=True):
        folders = item.get("folders", [label.code])
        if not isinstance(folders, list) or not all(isinstance(name, str) for name in folders):
            raise InputError(
                f'{file}: the folders of {label.code} are a list of names, such as ["basal cell carcinoma"]'
            )
        for name in map(plain, folders):
            if own.setdefault(name, label) != label:
                raise InputError(f"{file} gives the folder {name} to {own[name].code} and to {label.code}")
    unknown = sorted(name for name in names if plain(name) not in own)
    if unknown:
        raise InputError(
            f"{file} does not name the class folder(s) {', '.join(unknown)}; give a class of that code, or add "
            f'"folders": {list(unknown[:1])} to the one that they belong to'.replace("'", '"')
        )
    gone = sorted(own.keys() - set(map(plain, names)) - {label.code for label in classes})
    notes = [f"{file} names folders without photographs: {', '.join(gone)}"] if gone else []
    notes += [f"{file} has keys that nobody reads: {', '.join(strange[:NAMES_SHOWN])}"] if strange else []
    notes += [f"{file}: {text}" for text in doubtful(classes)]
    return {name: own[plain(name)] for name in names}, classes, notes


def of_malignancy(classes: tuple[Label, ...]) -> str:
    """What is known of it without labels.json."""
    known = [label.code for label in classes if label.malignant is not None]
    if len(known) == len(classes):
        return "which are malignant is known, as they are called like those of PAD-UFES-20"
    but = f" but for {', '.join(known)}, which are called like classes of PAD-UFES-20" if known else ""
    return f"and which of them are malignant is unknown{but}"


def label_named(folder: Path, name: str) -> Label:
    """A class after its folder: other characters than letters and digits become `_` in its code."""
    shown = plain(name)
    code = re.sub(r"[^\w-]+", "_", shown).strip("_")
    same = next((label for label in PAD_UFES_20 if label.code == code), None)
    try:
        return same or Label(code, re.sub(r"\[(.*?)\]", r"(\1)", shown), malignant=None)
    except InputError as error:
        raise InputError(
            f"the folder {folder / name} cannot be named after a class: {error}; rename it, or {ADVICE}"
        ) from error


def refuse_one_class(folder: Path, labels: dict[str, Label]) -> None:
    """InputError where two folders have the same code, or codes that differ in capitals alone."""
    by_code: dict[str, list[str]] = {}
    for name, label in labels.items():
        by_code.setdefault(label.code.casefold(), []).append(name)
    for names in by_code.values():
        if len(names) > 1:
            raise InputError(
                f"the folders {' and '.join(names)} of {folder} are one class by name: capitals, spaces and marks do "
                'not count; put them together, or give both to one class in labels.json ("folders": […])'
            )
