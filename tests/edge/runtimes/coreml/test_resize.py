"""Resizing against grids written down point by point, and against torch where torch has the same grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from edge.runtimes.coreml.ops.resize import crop_resize_roi
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(0)
MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def close(found, expected) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def grid(mode: str, old: int, new: int) -> np.ndarray:
    """As the op set's documentation of resize_bilinear gives them, point by point."""
    found = []
    for i in range(new):
        if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
            single = (old - 1) / 2 if mode == "ALIGN_CORNERS" else 0
            point = single if new == 1 else i * (old - 1) / (new - 1)
        elif mode == "DEFAULT":
            point = 0 if new == 1 else i * (old - old / new) / (new - 1)
        elif mode == "OFFSET_CORNERS":
            delta = max(1, old - 1) / new
            point = 0.5 * delta + i * delta
        else:
            point = i * old / new + 0.5 * old / new - 0.5
        found.append(min(old - 1, max(0, point)))
    return np.array(found)


def line(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The last dimension at fractional places."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    found = np.stack([np.interp(points, np.arange(values.shape[-1]), row) for row in flat])
    return found.reshape(*values.shape[:-1], len(points))


def plane(x: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    return np.swapaxes(line(np.swapaxes(line(x, xs), -1, -2), ys), -1, -2)


@pytest.mark.parametrize("mode", MODES)
def test_resize_bilinear_samples_the_documented_grid(mode):
    x, flat = some(2, 3, 5, 4), some(3, 1, 7)
    sizes = [(9, 7), (3, 2), (1, 1), (5, 4), (1, 9)]

    def build(x, flat):
        given = {"sampling_mode": mode}
        return (
            *(mb.resize_bilinear(x=x, target_size_height=h, target_size_width=w, **given) for h, w in sizes),
            mb.resize_bilinear(x=flat, target_size_height=2, target_size_width=10, **given),
        )

    *answers, three = run(build, {"x": x, "flat": flat})
    for found, (h, w) in zip(answers, sizes, strict=True):
        close(found, plane(x, grid(mode, 5, h), grid(mode, 4, w)))
    close(three, plane(flat, grid(mode, 1, 2), grid(mode, 7, 10)))


def test_the_examples_of_the_documentation():
    x = np.array([0, 1], np.float32).reshape(1, 1, 2)
    expected = {
        "UNALIGN_CORNERS": [0, 0, 1 / 3, 2 / 3, 1, 1],
        "STRICT_ALIGN_CORNERS": [0, 0.2, 0.4, 0.6, 0.8, 1],
        "DEFAULT": [0, 1 / 3, 2 / 3, 1, 1, 1],
        "OFFSET_CORNERS": [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12],
    }

    def build(x):
        return tuple(
            mb.resize_bilinear(x=x, target_size_height=1, target_size_width=6, sampling_mode=mode) for mode in expected
        )

    for found, points in zip(run(build, {"x": x}), expected.values(), strict=True):
        close(found, np.array(points).reshape(1, 1, 6))


def test_upsample_bilinear():
    x = some(2, 3, 5, 6)
    scales = [(2, 3), (2.5, 0.5), (1.3, 2.6)]

    def build(x):
        return tuple(
            mb.upsample_bilinear(x=x, scale_factor_height=h, scale_factor_width=w, **given)
            for given in ({}, {"align_corners": False}, {"align_corners": False, "half_pixel_centers": False})
            for h, w in scales
        )

    answers = iter(run(build, {"x": x}, ios=16))
    for aligned in (True, False):
        for scale in scales:
            expected = F.interpolate(
                torch.from_numpy(x), scale_factor=scale, mode="bilinear", align_corners=aligned,
                recompute_scale_factor=True,
            )  # fmt: skip
            close(next(answers), expected.numpy())
    for h, w in scales:
        close(next(answers), plane(x, grid("DEFAULT", 5, int(5 * h)), grid("DEFAULT", 6, int(6 * w))))


def test_upsample_nearest_neighbor():
    x = some(2, 3, 4, 6)
    scales = [(2, 3), (1.5, 2.5), (0.5, 0.5), ((6 + 1e-4) / 4, (10 + 1e-4) / 6)]

    def build(x):
        return tuple(mb.upsample_nearest_neighbor(x=x, scale_factor_height=h, scale_factor_width=w) for h, w in scales)

    for found, (h, w) in zip(run(build, {"x": x}), scales, strict=True):
        expected = F.interpolate(torch.from_numpy(x), size=(int(4 * h), int(6 * w)), mode="nearest")
        np.testing.assert_array_equal(found, expected.numpy())


def test_resize_nearest_neighbor_takes_the_pixel_under_each_middle():
    x = some(2, 5, 4)
    sizes = [(10, 12), (7, 3), (2, 2), (1, 9)]

    def build(x):
        return tuple(mb.resize_nearest_neighbor(x=x, target_size_height=h, target_size_width=w) for h, w in sizes)

    for found, (h, w) in zip(run(build, {"x": x}), sizes, strict=True):
        expected = F.interpolate(torch.from_numpy(x)[None], size=(h, w), mode="nearest-exact")[0]
        np.testing.assert_array_equal(found, expected.numpy())


def test_resize_takes_the_last_sizes_and_keeps_those_that_are_zero():
    x, whole = some(1, 2, 4, 5), np.arange(6, dtype=np.int32).reshape(2, 3)

    def build(x, whole, shape):
        same = {"resized_dims": np.uint32(2)}
        return (
            *(mb.resize(x=x, shape=[1, 7, 3], sampling_mode=mode, **same) for mode in MODES),
            mb.resize(x=x, shape=shape, interpolation_mode="NEAREST_NEIGHBOR", **same),
            mb.resize(x=x, shape=[9], resized_dims=np.uint32(1)),
            mb.resize(x=whole, shape=[4, 6], interpolation_mode="NEAREST_NEIGHBOR", **same),
            mb.resize(x=x, shape=[6, 3], interpolation_mode="NEAREST_NEIGHBOR", sampling_mode="OFFSET_CORNERS", **same),
        )

    inputs = {"x": x, "whole": whole, "shape": np.array([0, 8], np.int32)}
    *linear, nearest, last, whole_, offset = run(build, inputs, ios=17)
    for mode, found in zip(MODES, linear, strict=True):
        close(found, plane(x, grid(mode, 4, 7), grid(mode, 5, 3)))
    np.testing.assert_array_equal(nearest, x[..., [0, 0, 1, 2, 2, 3, 4, 4]])
    close(last, line(x, grid("DEFAULT", 5, 9)))
    np.testing.assert_array_equal(whole_, np.repeat(np.repeat(whole, 2, 0), 2, 1))
    rows, columns = (np.floor(grid("OFFSET_CORNERS", a, b) + 0.5).astype(int) for a, b in ((4, 6), (5, 3)))
    np.testing.assert_array_equal(offset, x[:, :, rows][..., columns])


def test_crop():
    x = some(2, 3, 6, 7)
    found = run(
        lambda x: (
            mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 3]),
            mb.crop(x=x, crop_height=[0, 0], crop_width=[2, 0]),
        ),
        {"x": x},
    )
    np.testing.assert_array_equal(found[0], x[:, :, 1:4, :4])
    np.testing.assert_array_equal(found[1], x[..., 2:])


def boxed(image, top, left, bottom, right, size, mode, pad):
    """One box, point by point; a point outside the image is `pad`."""

    def points(start, end, count):
        local = grid(mode, abs(end - start) + 1, count)
        return start + local * (1 if end >= start else -1)

    ys, xs = points(top, bottom, size[0]), points(left, right, size[1])
    height, width = image.shape[-2:]
    found = np.full((len(image), *size), pad, np.float64)
    for i, y in enumerate(ys):
        for j, x in enumerate(xs):
            if -1e-4 <= y <= height - 1 + 1e-4 and -1e-4 <= x <= width - 1 + 1e-4:
                found[:, i, j] = plane(image, np.array([y]), np.array([x]))[:, 0, 0]
    return found


BOXES = np.array([[1, 0.5, 4, 3], [0, 0, 5, 6], [3, 4, 1, 2], [2.5, 1, 7, 8]], np.float32)  # top left bottom right


@pytest.mark.parametrize("mode", MODES)
def test_crop_resize_from_ios_17(mode):
    x, images, size = some(2, 3, 6, 7), np.array([0, 1, 1, 0], np.int32), (3, 4)

    def build(x, boxes, images):
        given = {"target_height": 3, "target_width": 4, "sampling_mode": mode, "pad_value": np.float32(2)}
        return (
            mb.crop_resize(x=x, boxes=boxes, box_indices=images, **given),
            mb.crop_resize(
                x=x, boxes=BOXES[:2] / np.array([5, 6, 5, 6], np.float32), normalized_coordinates=True, **given
            ),
            mb.crop_resize(x=x, boxes=boxes, box_indices=images, spatial_scale=np.float32(0.5), **given),
        )

    picked, normal, half = run(build, {"x": x, "boxes": BOXES, "images": images}, ios=17)
    close(picked, np.stack([boxed(x[i], *box, size, mode, 2) for i, box in zip(images, BOXES, strict=True)]))
    close(normal, np.stack([boxed(x[i], *BOXES[i], size, mode, 2) for i in range(2)]))
    close(half, np.stack([boxed(x[i], *box / 2, size, mode, 2) for i, box in zip(images, BOXES, strict=True)]))


def test_crop_resize_until_ios_16():
    x, size = some(2, 3, 6, 7), (2, 3)
    middle, extent = (BOXES[:2, :2] + BOXES[:2, 2:]) / 2, BOXES[:2, 2:] - BOXES[:2, :2]
    numbered = np.concatenate([np.array([[1], [0]], np.float32), BOXES[:2]], 1)

    def build(x):
        given = {"x": x, "target_height": 2, "target_width": 3, "sampling_mode": "ALIGN_CORNERS"}

        def roi(values):
            return np.ascontiguousarray(values, np.float32).reshape(len(values), 1, -1, 1, 1)

        return (
            mb.crop_resize(roi=roi(BOXES), **given),
            mb.crop_resize(roi=roi(BOXES[:, [1, 0, 3, 2]]), box_coordinate_mode="CORNERS_WIDTH_FIRST", **given),
            mb.crop_resize(
                roi=roi(np.concatenate([middle, extent], 1)), box_coordinate_mode="CENTER_SIZE_HEIGHT_FIRST", **given
            ),
            mb.crop_resize(
                roi=roi(np.concatenate([middle[:, ::-1], extent[:, ::-1]], 1)),
                box_coordinate_mode="CENTER_SIZE_WIDTH_FIRST",
                **given,
            ),
        )

    expected = np.stack([[boxed(image, *box, size, "ALIGN_CORNERS", 0) for image in x] for box in BOXES])
    corners, width_first, centre, centre_width = run(build, {"x": x}, ios=16)
    close(corners, expected)
    close(width_first, expected)
    close(centre, expected[:2])
    close(centre_width, expected[:2])

    rois = numbered.reshape(2, 1, 5, 1, 1)
    found = crop_resize_roi(torch.from_numpy(x), torch.from_numpy(rois), 2, 3, sampling_mode="ALIGN_CORNERS").numpy()
    close(found, np.stack([expected[0, 1], expected[1, 0]])[:, None])


def sampled(image, places, mode, padding, value):
    """One pixel place (x, y) at a time; padding by an index of the padded image."""
    height, width = image.shape[-2:]

    def fold(i, n):
        if padding == "border":
            return min(max(i, 0), n - 1)
        if padding == "symmetric":
            i %= 2 * n
            return i if i < n else 2 * n - 1 - i
        if padding == "reflection":
            period = max(2 * (n - 1), 1)
            i %= period
            return i if i < n else period - i
        return i if 0 <= i < n else None

    def pixel(row, column):
        row, column = fold(row, height), fold(column, width)
        return np.full(len(image), value) if row is None or column is None else image[:, row, column]

    found = np.zeros((len(image), *places.shape[:2]))
    for i, j in np.ndindex(*places.shape[:2]):
        x, y = places[i, j]
        if mode == "nearest":
            found[:, i, j] = pixel(int(np.rint(y)), int(np.rint(x)))
            continue
        row, column = int(np.floor(y)), int(np.floor(x))
        down, across = y - row, x - column
        found[:, i, j] = (
            (1 - down) * ((1 - across) * pixel(row, column) + across * pixel(row, column + 1))
            + down * ((1 - across) * pixel(row + 1, column) + across * pixel(row + 1, column + 1))
        )  # fmt: skip
    return found


@pytest.mark.parametrize("coordinates", ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"])
@pytest.mark.parametrize("padding", ["constant", "border", "reflection", "symmetric"])
def test_resample(padding, coordinates):
    x = some(2, 3, 5, 6)
    places = RNG.uniform(-9, 12, (2, 4, 7, 2)).astype(np.float64)
    size = np.array([6, 5])

    def stated(aligned):
        if coordinates == "unnormalized":
            return places
        part = places / (size - 1) if aligned else (places + 0.5) / size
        return part if coordinates == "normalized_zero_to_one" else 2 * part - 1

    def build(x, aligned, edges):
        return tuple(
            mb.resample(
                x=x, coordinates=where, sampling_mode=mode, padding_mode=padding, padding_value=np.float32(3),
                coordinates_mode=coordinates, align_corners=corner,
            )
            for mode in ("bilinear", "nearest")
            for where, corner in ((aligned, True), (edges, False))
        )  # fmt: skip

    inputs = {"x": x, "aligned": stated(True).astype(np.float32), "edges": stated(False).astype(np.float32)}
    *smooth, first, second = run(build, inputs)
    expected = np.stack([sampled(x[b], places[b], "bilinear", padding, 3) for b in range(2)])
    for found in smooth:
        np.testing.assert_allclose(found, expected, atol=5e-5)
    expected = np.stack([sampled(x[b], places[b], "nearest", padding, 3) for b in range(2)])
    close(first, expected)
    close(second, expected)


def test_affine():
    x = some(2, 3, 5, 6)
    matrices = np.array([[1, 0.2, 0.1, -0.3, 0.8, -0.2], [0.5, -1, 0.3, 1.1, 0.4, 0.7]], np.float32)

    def build(x, matrices):
        given = {
            "x": x, "sampling_mode": "bilinear", "padding_mode": "constant", "padding_value": np.float32(0),
            "coordinates_mode": "normalized_minus_one_to_one", "align_corners": True,
            "output_height": 4, "output_width": 7,
        }  # fmt: skip
        return (
            mb.affine(transform_matrix=matrices, **given),
            mb.affine(transform_matrix=one, **given),
        )

    one = matrices[:1]
    each, shared = run(build, {"x": x, "matrices": matrices})
    ys, xs = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 7), indexing="ij")
    seen = np.stack([xs, ys, np.ones_like(xs)], -1)

    def expected(image, matrix):
        normal = seen @ matrix.reshape(2, 3).T
        return sampled(image, (normal + 1) / 2 * np.array([5, 4]), "bilinear", "constant", 0)

    np.testing.assert_allclose(each, np.stack([expected(x[i], matrices[i]) for i in range(2)]), atol=5e-5)
    np.testing.assert_allclose(shared, np.stack([expected(x[i], matrices[0]) for i in range(2)]), atol=5e-5)


def test_fp16_is_rounded_once():
    x = some(1, 4, 5, 5)
    found = run(
        lambda x: (
            mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=2, align_corners=False),
            mb.resize_nearest_neighbor(x=x, target_size_height=10, target_size_width=10),
        ),
        {"x": x},
        half=True,
    )
    half = torch.from_numpy(x).half().float()
    smooth = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(found[0], smooth.half().float().numpy())
    np.testing.assert_array_equal(found[1], F.interpolate(half, scale_factor=2, mode="nearest").numpy())
