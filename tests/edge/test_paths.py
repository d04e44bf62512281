"""Names in messages stay on their line; what a path leads to is told. Links, pipes and folders: test_capture.py."""

from __future__ import annotations

import pytest

from edge import artifact, checkpoint
from edge.errors import InputError
from edge.paths import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("été.jpg", "été.jpg"),
        ("a\nb\x1b[1m", "a\\x0ab\\x1b[1m"),
        ("x\udcff", "x\\xff"),
        ("gpj.\u202e", "gpj.\\u202e"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_names_in_messages(name, shown):
    assert printable(name) == shown


def test_a_compiled_model_is_named(tmp_path):
    for read in (artifact.read, checkpoint.load):
        with pytest.raises(InputError, match=r"net\.mlmodelc is a compiled Core ML model.*give the \.mlpackage"):
            read(tmp_path / "net.mlmodelc")
