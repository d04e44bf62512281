"""A class made by hand: what is no code, no name, or neither malignant nor benign nor unknown is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import InputError
from edge.labels import Label


@pytest.mark.parametrize(
    ("code", "name", "malignant", "words"),
    [
        (5, "five", None, "a code and a name, both text, got int and str"),
        ("MEL", None, True, "a code and a name, both text"),
        ("MEL", "melanoma", "yes", "`malignant` is True, False, or None"),
        ("MEL", "melanoma", 1, "`malignant` is True, False, or None"),
        ("MEL", "melanoma", float("nan"), "`malignant` is True, False, or None"),
        ("a b", "two words", None, "class code"),
        ("MEL", "a\nb", None, "class name"),
    ],
)
def test_what_is_no_class_is_refused(code: Any, name: Any, malignant: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Label(code, name, malignant)
