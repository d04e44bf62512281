"""What a class is, and the classes of the data sets we know. The order of a list is the order of the output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.errors import InputError

MALIGNANT = {True: "yes", False: "no", None: "unknown"}  # in words
MAX_CLASSES = 1001  # ImageNet, with the background that TensorFlow's weights have in front


@dataclass(frozen=True)
class Label:
    code: str  # what tables and file names use: letters, digits, _ and -
    name: str  # what a person reads
    malignant: bool | None  # None: unknown

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or not isinstance(self.name, str):
            kinds = f"{type(self.code).__name__} and {type(self.name).__name__}"
            raise InputError(f"a class has a code and a name, both text, got {kinds}")
        if not isinstance(self.malignant, bool | None):
            kind = type(self.malignant).__name__
            raise InputError(f"`malignant` is True, False, or None where that is unknown, got {kind} of {self.code}")
        if not self.name.isprintable() or not 0 < len(self.name) <= 200 or set(self.name) & set("[]"):
            raise InputError(f"a class name is 1 to 200 printable characters without brackets, got {self.name!r}")
        if not re.fullmatch(r"[\w-]{1,64}", self.code):
            raise InputError(f"a class code is 1 to 64 letters, digits, '_' or '-', got {self.code!r}")


# PAD-UFES-20 (doi:10.17632/zr7vgbcyr2.1): Bowen's disease counts as SCC; all BCC, SCC and MEL are biopsy-proven.
PAD_UFES_20 = (
    Label("ACK", "actinic keratosis", malignant=False),
    Label("BCC", "basal cell carcinoma", malignant=True),
    Label("MEL", "melanoma", malignant=True),
    Label("NEV", "nevus", malignant=False),
    Label("SCC", "squamous cell carcinoma", malignant=True),
    Label("SEK", "seborrhoeic keratosis", malignant=False),
)


# Of malignant lesions only; a class called so and marked benign is a slip, as in {"code": "mel", "malignant": false}.
MALIGNANT_WORDS = re.compile(
    r"(mel|mm|melanomas?|bcc|scc|mcc|carcinomas?|sarcomas?|lymphomas?|metastas[ei]s|bowens?|malignant|cancer)",
    re.IGNORECASE,
)
BUT_BENIGN = re.compile(r"\b(no|non|not|without|pre|precancerous|pseudo\w*|benign)\b", re.IGNORECASE)


def doubtful(labels: tuple[Label, ...]) -> list[str]:
    """A sentence for each class that is marked benign and has the name of a malignant lesion."""
    return [
        f"{label.code} ({label.name}) is marked as not malignant, and its name says that it is; look again"
        for label in labels
        if label.malignant is False and malignant_by_name(label)
    ]


def malignant_by_name(label: Label) -> bool:
    text = f"{label.code} {label.name}".replace("_", " ").replace("-", " ")
    words = re.findall(r"\w+", text)
    return not BUT_BENIGN.search(text) and any(MALIGNANT_WORDS.fullmatch(word) for word in words)


def to_json(labels: tuple[Label, ...]) -> list[dict]:
    return [{"code": label.code, "name": label.name, "malignant": label.malignant} for label in labels]


def from_json(items: object, *, where: str) -> tuple[Label, ...]:
    """Labels from a list of {code, name, malignant}; InputError that names `where` if it is anything else."""
    if not isinstance(items, list) or not 2 <= len(items) <= MAX_CLASSES:
        raise InputError(f"{where}: expected a list of 2 to {MAX_CLASSES} classes")
    labels = []
    for item in items:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("code"), str)
            or not isinstance(item.get("name", ""), str)
            or not isinstance(item.get("malignant"), bool | None)
        ):
            raise InputError(
                f'{where}: a class is {{"code": "MEL", "name": "melanoma", "malignant": true}}, '
                f"or false, or null where that is unknown; got {item!r}"
            )
        try:
            labels.append(Label(item["code"], item.get("name") or item["code"], item.get("malignant")))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    codes = [label.code for label in labels]
    if len(set(codes)) != len(codes):
        raise InputError(f"{where}: class codes must differ, got {', '.join(codes)}")
    return tuple(labels)
