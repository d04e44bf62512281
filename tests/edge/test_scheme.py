"""A quantisation scheme on disk: what is written comes back, what is malformed is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.scheme import Layer, Scheme, beside, load, save

POINT = {"sqnr_db": 38.0, "macs_static": 0.4}
SCHEME = Scheme(
    model="hierattn_xs",
    checkpoint_sha256="a" * 64,
    graph="b" * 64,
    data="photographs",
    images=64,
    budget_db=35.0,
    layers=(
        Layer("conv2d", "CONV_2D", "static", 100, "stem.0", "stem.1", (0.0, 255.0), (-3.0, 4.5), {"static": 41.0}),
        Layer("linear", "FULLY_CONNECTED", "dynamic", 50, "classifier"),
        Layer("conv2d_1", "DEPTHWISE_CONV_2D", "float", 9),
    ),
    curve=(POINT, {"sqnr_db": 20.0, "macs_static": 0.9}),
    chosen=0,
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = beside(tmp_path / "hierattn_xs.safetensors")
    save(path, SCHEME)
    assert path.name == "hierattn_xs.scheme.json" and load(path) == SCHEME
    assert load(path).measured == POINT


@pytest.mark.parametrize(
    ("where", "value", "word"),
    [
        (("schema",), "dermedge/scheme/9", "schema"),
        (("chosen",), 7, "chosen"),
        (("layers", 0, "kind"), "int4", "kind"),
        (("layers", 0, "input"), None, "static"),
        (("layers", 0, "output"), [3.0, 1.0], "range"),
        (("layers", 0, "output"), [0.0, float("inf")], "range"),
        (("layers", 1, "macs"), "many", "malformed"),
        (("curve",), [["x"]], "malformed"),
        (("images",), None, "malformed"),
        (("layers",), 5, "malformed"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, where: tuple, value: object, word: str) -> None:
    path = tmp_path / "x.scheme.json"
    save(path, SCHEME)
    stored = json.loads(path.read_text())
    place = stored
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match=word) as error:
        load(path)
    assert "x.scheme.json" in str(error.value)
