"""A path may be a text wherever a program hands one to a public function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from edge import artifact, capture, checkpoint, files, scheme, thresholds
from edge.build import open_build
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.labels import Label
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION
from edge.report import page
from edge.runtimes.litert import LiteRT
from edge.runtimes.open import open_any, open_file


def test_a_checkpoint_is_written_and_read(tmp_path):
    torch.manual_seed(0)
    labels = (Label("a", "a", None), Label("b", "b", None))
    held = checkpoint.Checkpoint(
        "hierattn_xs",
        labels,
        checkpoint.Preprocess(PREPROCESS_VERSION, 32),
        create_model("hierattn_xs", 2).state_dict(),
    )
    checkpoint.save(held, str(tmp_path / "net"))
    weights = tmp_path / "net.safetensors"
    assert checkpoint.load(str(weights)).sha256 == checkpoint.load(weights).sha256 == files.sha256(str(weights))
    assert files.size(str(weights)) == weights.stat().st_size
    opened = open_any(str(weights))
    assert opened.side == 32
    opened.runtime.close()
    assert thresholds.beside(str(weights)) == thresholds.beside(weights)
    assert thresholds.beside(str(tmp_path)) == thresholds.beside(tmp_path)
    assert scheme.beside(str(weights)) == scheme.beside(weights)


def test_photographs_are_read(folder_of_photographs):
    assert len(open_photos(str(folder_of_photographs))) == 24
    photo = folder_of_photographs / "ben" / "0.png"
    assert np.array_equal(capture.read_photo(str(photo)), capture.read_photo(photo))
    with Image.open(photo) as image:
        assert capture.read_photo(str(photo)).shape[:2] == image.size[::-1]


@pytest.mark.parametrize(
    "call",
    [
        artifact.read, open_build, page.render, checkpoint.load, scheme.load, open_any, LiteRT, open_photos,
        lambda path: open_file(path, "tflite"),
        lambda path: open_file(path, "mlpackage"),
        lambda path: open_file(path, "aimodel"),
        lambda path: files.read_json(path, expected="an object"),
        lambda path: thresholds.load(path, checkpoint_sha256="", side=32),
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_input_error_for_a_text_as_for_a_path(call, tmp_path):
    missing = tmp_path / "missing.tflite"
    with pytest.raises(InputError):
        call(missing)
    with pytest.raises(InputError):
        call(str(missing))


def test_files_are_written(tmp_path):
    target = str(tmp_path / "new" / "file.json")
    files.write_json(target, {"a": 1})
    assert files.read_json(target, expected="an object") == {"a": 1}
    with files.scratch_in(str(tmp_path / "new")) as work:
        assert work.is_dir()
