"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.data.synthetic import write_sample


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory) -> Path:
    """The synthetic sample with masks, 24 patients, in pictures of a quarter of their size, which read quickly.

    Not to be changed: a test that takes something away copies it.
    """
    from PIL import Image

    folder = write_sample(tmp_path_factory.mktemp("sample") / "sample", seed=3, patients=24)
    for path in [*folder.rglob("*.jpg"), *folder.rglob("*.png")]:
        with Image.open(path) as image:
            small = Image.fromarray(np.asarray(image)[::4, ::4])
            small.save(path, exif=image.getexif(), icc_profile=image.info.get("icc_profile"))
    return folder
