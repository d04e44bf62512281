"""A strange file's input is read from the file or asked for, and never guessed."""

from __future__ import annotations

from types import SimpleNamespace

import flatbuffers
import numpy as np
import pytest

from edge.errors import InputError
from edge.runtimes.foreign.metadata import normalization, stated_in
from edge.runtimes.foreign.pixels import pixels_of

NHWC, NCHW = (1, 4, 6, 3), (1, 3, 4, 6)


def metadata(mean: list[float], std: list[float]) -> bytes:
    """ModelMetadata of metadata_schema.fbs with one input whose process unit is a NormalizationOptions."""
    b = flatbuffers.Builder(256)

    def floats(values: list[float]) -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependFloat32(value)
        return b.EndVector()

    def tables(*places: int) -> int:
        b.StartVector(4, len(places), 4)
        for place in reversed(places):
            b.PrependUOffsetTRelative(place)
        return b.EndVector()

    def table(fields: int, *slots: tuple[int, int]) -> int:
        b.StartObject(fields)
        for slot, place in slots:
            b.PrependUOffsetTRelativeSlot(slot, place, 0)
        return b.EndObject()

    means, stds = floats(mean), floats(std)
    options = table(2, (0, means), (1, stds))
    b.StartObject(2)
    b.PrependUint8Slot(0, 1, 0)
    b.PrependUOffsetTRelativeSlot(1, options, 0)
    unit = b.EndObject()
    name = b.CreateString("image")
    units = tables(unit)
    tensor = table(7, (0, name), (4, units))
    inputs = tables(tensor)
    graph = table(8, (2, inputs))
    graphs = tables(graph)
    b.Finish(table(8, (3, graphs)), b"M001")
    return bytes(b.Output())


def model(content: bytes) -> SimpleNamespace:
    buffer = SimpleNamespace(data=np.frombuffer(content, np.uint8))
    return SimpleNamespace(metadata=[SimpleNamespace(name=b"TFLITE_METADATA", buffer=0)], buffers=[buffer])


def test_googles_metadata_is_read():
    mean, std, source = stated_in(model(metadata([127.5], [127.5])))
    assert mean == std == (127.5,) * 3 and "TFLITE_METADATA" in source
    assert normalization(metadata([1, 2, 3], [4, 5, 6])) == ((1, 2, 3), (4, 5, 6))


def test_damaged_metadata_counts_as_absent():
    content = metadata([127.5], [127.5])
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] = random.integers(256)
        normalization(bytes(damaged[: random.integers(4, len(content))]))
    assert normalization(metadata([127.5], [0.0])) is None


def test_pixels_become_what_the_file_expects():
    picture = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    unit = pixels_of("f", NHWC, np.float32, stated=None, asked="-1..1").tensor(picture)
    assert unit.shape == NHWC and unit.dtype == np.float32
    assert np.allclose(unit[0], picture / 127.5 - 1, atol=1e-6)
    first = pixels_of("f", NCHW, np.float32, stated=None, asked="imagenet").tensor(picture)
    assert first.shape == NCHW
    assert np.allclose(first[0, 2], (picture[..., 2] / 255 - 0.406) / 0.225, atol=1e-5)
    assert (
        pixels_of("f", NHWC, np.int8, stated=None, asked=None).tensor(picture)[0] == picture.astype(int) - 128
    ).all()
    assert (pixels_of("f", NHWC, np.uint8, stated=None, asked=None).tensor(picture)[0] == picture).all()


def test_nothing_is_guessed():
    with pytest.raises(InputError, match=r"says nowhere.*`pixels`"):
        pixels_of("f", NHWC, np.float32, stated=None, asked=None)
    with pytest.raises(InputError, match="one RGB picture"):
        pixels_of("f", (1, 4, 6, 1), np.float32, stated=None, asked="0..1")
    with pytest.raises(InputError, match="one RGB picture"):
        pixels_of("f", (1, 224), np.float32, stated=None, asked="0..1")
    with pytest.raises(InputError, match="one of"):
        pixels_of("f", NHWC, np.float32, stated=None, asked="0..2")
