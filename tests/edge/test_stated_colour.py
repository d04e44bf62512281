"""Every way in which a file states its colour, against the standards' formulas in floating point."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from benchmarks import _colorimetry as colorimetry
from benchmarks import _colour_files as files
from benchmarks._colour_cases import PLAIN, cases
from edge.capture import read_photo
from edge.errors import InputError

CASES = cases()


@lru_cache
def stored(form: str) -> np.ndarray:
    """The card as the format keeps it, without any conversion of colour."""
    contents = files.plain(form)  # HEIC and AVIF: `nclx` of sRGB
    with Image.open(io.BytesIO(contents)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", CASES)
def test_what_is_stated_is_shown(name: str) -> None:
    """Within rounding (0.5) and what LittleCMS's integers lose (0.2); a refusal names what was stated."""
    case = CASES[name]
    if case.form == "HEIF":
        pytest.importorskip("pillow_heif")
    if isinstance(case.shows, str):
        with pytest.raises(InputError, match=case.shows) as refusal:
            read_photo(case.make(), name="card")
        assert str(refusal.value).startswith("card")
        return
    seen = read_photo(case.make()).astype(float)
    expected = colorimetry.shown(stored(case.form), *case.shows)
    assert abs(seen - expected).max() < 0.7
    if case.shows == PLAIN:
        np.testing.assert_array_equal(seen, stored(case.form))
    assert np.ptp(seen[:16], axis=2).max() == 0  # greys stay grey
