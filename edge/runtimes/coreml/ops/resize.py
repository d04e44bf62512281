"""Resizing and cropping of maps.

A sampling mode places N points in an interval of X pixels, [first, first + X - 1]. See `points`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import sampling
from .kinds import Ints
from .slicing import bounded

TORCH = {"STRICT_ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}  # the modes that torch has, by its align_corners


def points(mode: str, extent: Tensor, count: int) -> Tensor:
    """Where `count` points lie, from the first of `extent` pixels on; (..., count) for an extent of (...)."""
    extent = extent[..., None]
    bounded([*extent.shape[:-1], count])
    steps = torch.arange(count, dtype=extent.dtype, device=extent.device)
    if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
        if count == 1:
            return (extent - 1) / 2 if mode == "ALIGN_CORNERS" else torch.zeros_like(extent)
        places = steps * ((extent - 1) / (count - 1))
    elif mode == "DEFAULT":
        places = steps * (extent / count)
    elif mode == "OFFSET_CORNERS":
        places = (steps + 0.5) * ((extent - 1).clamp(min=1) / count)
    elif mode == "UNALIGN_CORNERS":
        places = (steps + 0.5) * (extent / count) - 0.5
    else:
        raise ValueError(f"sampling_mode {mode} is not known")
    return torch.minimum(places.clamp(min=0), extent - 1)


def linear(x: Tensor, sizes: tuple[int, int], mode: str) -> Tensor:
    """The last two dimensions to `sizes`; every dimension before them is batch."""
    if tuple(x.shape[-2:]) == sizes and mode != "OFFSET_CORNERS":
        return x
    if mode in TORCH:
        planes = x if x.ndim == 4 else x.reshape(1, -1, *x.shape[-2:])
        resized = F.interpolate(planes, sizes, mode="bilinear", align_corners=TORCH[mode])
        return resized.reshape(*x.shape[:-2], *sizes)
    return along(along(x, sizes[1], mode, -1), sizes[0], mode, -2)


def along(x: Tensor, size: int, mode: str, dimension: int) -> Tensor:
    """Linear interpolation in one dimension."""
    length = x.shape[dimension]
    place = points(mode, torch.tensor(length, dtype=torch.float64, device=x.device), size)
    low = place.floor().long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    share = (place - low).to(x.dtype)
    if dimension == -2:
        share = share[:, None]
    return torch.lerp(x.index_select(dimension, low), x.index_select(dimension, high), share)


def nearest(x: Tensor, sizes: tuple[int, int], mode: str = "DEFAULT") -> Tensor:
    """The pixel nearest to each point. DEFAULT cuts the result into equal parts and takes the pixel under the middle
    of each, as Apple's tests of `resize` have it; the other modes are those of bilinear sampling."""
    for dimension, size in zip((-2, -1), sizes, strict=True):
        length = x.shape[dimension]
        bounded([size])
        if mode in {"DEFAULT", "UNALIGN_CORNERS"}:
            index = (2 * torch.arange(size, device=x.device) + 1) * length // (2 * size)
        else:
            index = (
                (points(mode, torch.tensor(length, dtype=torch.float64, device=x.device), size) + 0.5).floor().long()
            )
        x = x.index_select(dimension, index)
    return x


def scaled(length: int, scale: float) -> int:
    """Rounded down in float32, as the program's shapes are."""
    if not 0 <= scale * length < np.inf:
        raise ValueError(f"{length} pixels cannot be scaled by {scale}")
    (size,) = bounded([int(np.floor(np.float32(scale) * np.float32(length)))])
    return size


def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    """The scale only decides the size; pixel i of the result is pixel floor(i * old size / new size)."""
    for dimension, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        length = x.shape[dimension]
        size = scaled(length, scale)
        x = x.index_select(dimension, torch.arange(size, device=x.device) * length // size)
    return x


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: Tensor | None = None,
) -> Tensor:
    """The scale only decides the size; the points are placed by the two sizes."""
    centred = not align_corners if half_pixel_centers is None else bool(half_pixel_centers)
    if align_corners and centred:
        raise ValueError("align_corners and half_pixel_centers are both true; expected at most one")
    sizes = (scaled(x.shape[-2], scale_factor_height), scaled(x.shape[-1], scale_factor_width))
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if centred else "DEFAULT"
    return linear(x, sizes, mode)


def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    return nearest(x, (target_size_height, target_size_width))


def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    return linear(x, (target_size_height, target_size_width), sampling_mode)


def resize(
    x: Tensor,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """The last `resized_dims` dimensions to the last numbers of `shape`, where 0 leaves a dimension as it is."""
    if resized_dims > min(len(shape), x.ndim):
        raise ValueError(f"resized_dims is {resized_dims}, of a shape of {len(shape)} and {x.ndim} dimensions")
    target = list(x.shape)
    for place in range(-resized_dims, 0):
        target[place] = shape[place] or target[place]
    for place in range(-resized_dims, -2):
        if target[place] != x.shape[place]:
            raise ValueError(f"resize to {target}; only the last two dimensions can change")
    planes = x if x.ndim > 1 else x[None]
    sizes = (int(target[-2]) if x.ndim > 1 else 1, int(target[-1]))
    if interpolation_mode == "NEAREST_NEIGHBOR":
        resized = nearest(planes, sizes, sampling_mode)
    elif interpolation_mode == "LINEAR":
        resized = linear(planes.float(), sizes, sampling_mode)
    else:
        raise ValueError(f"interpolation_mode {interpolation_mode} is not known")
    return resized.reshape(target)


def crop(x: Tensor, crop_height: Ints, crop_width: Ints) -> Tensor:
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def crop_resize_roi(
    x: Tensor,
    roi: Tensor,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Tensor:
    """Until iOS 16: (N, 1, 4, 1, 1) boxes cut from every image, or (N, 1, 5, 1, 1) that begin with an image's number.

    The result has a dimension for the images, of 1 where a box tells its own.
    """
    boxes = roi.reshape(roi.shape[0], roi.shape[2])
    size = (target_height, target_width)
    rest = (normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value)
    if boxes.shape[1] == 5:
        return cut_out(x, boxes[:, 1:], boxes[:, 0].long(), size, *rest)[:, None]
    count, batch = len(boxes), len(x)
    images = torch.arange(batch, device=x.device).repeat(count)
    crops = cut_out(x, boxes.repeat_interleave(batch, 0), images, size, *rest)
    return crops.reshape(count, batch, *crops.shape[1:])


def crop_resize(
    x: Tensor,
    boxes: Tensor,
    box_indices: Tensor | None = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Tensor:
    """From iOS 17 on: box i is cut from image box_indices[i], or from image i."""
    images = torch.arange(len(boxes), device=x.device) if box_indices is None else box_indices.long()
    size = (target_height, target_width)
    rest = (normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value)
    return cut_out(x, boxes.float(), images, size, *rest)


def cut_out(
    x: Tensor,
    boxes: Tensor,
    images: Tensor,
    size: tuple[int, int],
    normalized: bool,
    scale: float,
    box_mode: str,
    mode: str,
    pad_value: float,
) -> Tensor:
    """(N, C, height, width) of N boxes; a point outside the image is `pad_value`."""
    (top, bottom), (left, right) = corners(boxes, box_mode)
    height, width = x.shape[-2:]
    ys = inside(top, bottom, height, (height - 1 if normalized else 1) * scale, size[0], mode)
    xs = inside(left, right, width, (width - 1 if normalized else 1) * scale, size[1], mode)
    tolerance = 1e-4  # of a pixel: a normalised corner comes back as 2.9999998 or 3.0000002
    outside = ((ys < -tolerance) | (ys > height - 1 + tolerance))[:, :, None]
    outside = outside | ((xs < -tolerance) | (xs > width - 1 + tolerance))[:, None, :]
    values = sampling.bilinear(x, images[:, None, None], ys[:, :, None], xs[:, None, :])
    return torch.where(outside[:, None], torch.tensor(pad_value, dtype=x.dtype, device=x.device), values)


def corners(boxes: Tensor, mode: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(top, bottom), (left, right)"""
    a, b, c, d = boxes.unbind(-1)
    if mode.startswith("CENTER_SIZE_"):
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    elif not mode.startswith("CORNERS_"):
        raise ValueError(f"box_coordinate_mode {mode} is not known")
    return ((b, d), (a, c)) if mode.endswith("WIDTH_FIRST") else ((a, c), (b, d))


def inside(start: Tensor, end: Tensor, length: int, scale: float, count: int, mode: str) -> Tensor:
    """Points between the first and last pixel of a box, from start to end also where that is backwards."""
    start, end = start * scale, end * scale
    if mode == "UNALIGN_CORNERS":
        # Apple's test has the whole image for a backward box that begins outside it.
        astray = (start > end) & (start > length - 1)
        start, end = start.masked_fill(astray, 0), end.masked_fill(astray, length - 1)
    forward = torch.where(end < start, -1.0, 1.0)
    return start[:, None] + forward[:, None] * points(mode, (end - start).abs() + 1, count)


def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    return sampling.resample(
        x, coordinates.float(), sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners
    )


def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """The places in x of each place of the result, by a 2 x 3 matrix for each image or one for all."""
    if coordinates_mode.lower() != "normalized_minus_one_to_one":
        raise ValueError(f"coordinates_mode {coordinates_mode} is not run; expected normalized_minus_one_to_one")
    matrices = transform_matrix.reshape(-1, 2, 3).expand(len(x), 2, 3)
    grid = F.affine_grid(matrices, [len(x), x.shape[1], output_height, output_width], align_corners=align_corners)
    return sampling.resample(x, grid, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners)


TABLE = {
    "affine": affine,
    "crop": crop,
    "crop_resize": {"CoreML5": crop_resize_roi, "CoreML7": crop_resize},
    "resample": resample,
    "resize": {"CoreML7": resize},
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
EXACT = frozenset({"crop", "resize_nearest_neighbor", "upsample_nearest_neighbor"})
