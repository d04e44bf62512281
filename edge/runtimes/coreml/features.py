"""Inputs and outputs of `predict`: images and arrays in, arrays and class labels out, as the package describes them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import InputError

from .values import MAX_VALUES

# ArrayFeatureType.ArrayDataType -> NumPy
ARRAYS = {65552: np.float16, 65568: np.float32, 65600: np.float64, 131104: np.int32, 131080: np.int8}
COLOURS = {10: "GRAYSCALE", 20: "RGB", 30: "BGR", 40: "GRAYSCALE_FLOAT16"}


def read_inputs(description: Any, data: Mapping[str, Any]) -> dict[str, Tensor]:
    """The program's inputs from what `predict` was handed; InputError for a missing, unknown or unfitting one."""
    if not isinstance(data, Mapping):
        raise InputError(f"predict takes a dictionary by input name, or a list of such, got {type(data).__name__}")
    wanted = {feature.name: feature for feature in description}
    unknown = [name for name in data if name not in wanted]
    if unknown:
        raise InputError(f"the model has no input {unknown[0]}; its inputs are {', '.join(wanted)}")
    inputs = {}
    for name, feature in wanted.items():
        if name not in data:
            if feature.type.isOptional:
                usual = default_of(feature)
                if usual is not None:
                    inputs[name] = usual
                continue
            raise InputError(f"the input {name} is missing; predict takes {{{', '.join(wanted)}}}")
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            inputs[name] = from_image(name, feature.type.imageType, data[name])
        elif kind == "multiArrayType":
            inputs[name] = from_array(name, feature.type.multiArrayType, data[name])
        elif kind in {"int64Type", "doubleType"}:
            inputs[name] = from_number(name, data[name], whole=kind == "int64Type")
        else:
            raise InputError(f"the input {name} is a {kind}; images, arrays and numbers are taken here")
    return inputs


def default_of(feature: Any) -> Tensor | None:
    """What an optional array holds that is not given; None where the package does not say."""
    kind = feature.type.multiArrayType
    stated = kind.WhichOneof("defaultOptionalValue")
    if feature.type.WhichOneof("Type") != "multiArrayType" or stated is None:
        return None
    if min(kind.shape, default=0) < 0 or prod(kind.shape) > MAX_VALUES:
        raise InputError(f"the input {feature.name} is optional and has the shape {tuple(kind.shape)}; give it")
    dtype = ARRAYS.get(int(kind.dataType), np.float32)
    return torch.from_numpy(np.full(tuple(kind.shape), getattr(kind, stated)).astype(dtype))


def from_number(name: str, value: Any, *, whole: bool) -> Tensor:
    array = np.asarray(value) if np.isscalar(value) or isinstance(value, np.ndarray) else np.empty(0)
    if array.size != 1 or array.dtype.kind not in ("iub" if whole else "iufb"):
        raise InputError(f"the input {name} is a {'whole ' if whole else ''}number, got {value!r:.40}")
    array = array.reshape(1)
    return torch.from_numpy(exactly(name, array, np.int32) if whole else array.astype(np.float64))


def exactly(name: str, array: np.ndarray, kind: type) -> np.ndarray:
    """A copy in a type of whole numbers; InputError for a fraction, and for a number that the type cannot hold."""
    with np.errstate(invalid="ignore"):
        values: np.ndarray = np.array(array, kind)
    if not np.array_equal(values, array):
        limits, first = np.iinfo(values.dtype), array[values != array][0]
        raise InputError(
            f"the input {name} takes whole numbers of {values.dtype}, {limits.min} to {limits.max}, got {first}"
        )
    return values


def from_image(name: str, kind: Any, picture: Any) -> Tensor:
    """A PIL image -> (1, C, H, W) float32 of 0..255 in the channel order of the package."""
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise InputError(f"the input {name} is an image: give a PIL image, got {type(picture).__name__}")
    colours = COLOURS.get(int(kind.colorSpace))
    mode = {"GRAYSCALE": "L", "GRAYSCALE_FLOAT16": "F"}.get(colours or "", "RGB")
    if picture.mode != mode and not (mode == "RGB" and picture.mode in {"RGBA", "RGBX"}):
        raise InputError(
            f"the input {name} is a {colours} image: convert yours to PIL mode {mode}, it is {picture.mode}"
        )
    sizes = allowed_sizes(kind)
    limits = size_limits(kind)
    if limits and not all(low <= n <= high for n, (low, high) in zip(picture.size, limits, strict=True)):
        (a, b), (c, d) = limits
        raise InputError(
            f"the input {name} takes images {a} to {b:.0f} pixels wide and {c} to {d:.0f} high, "
            f"got {picture.size[0]}x{picture.size[1]}"
        )
    if sizes and picture.size not in sizes:
        have = ", ".join(f"{w}x{h}" for w, h in sorted(sizes)[:5])
        raise InputError(f"the input {name} takes images of {have} pixels, got {picture.size[0]}x{picture.size[1]}")
    pixels = np.asarray(picture.convert(mode), np.float32)
    if pixels.ndim == 2:
        return torch.from_numpy(pixels.copy())[None, None]
    if colours == "BGR":
        pixels = pixels[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def whole_pixels(description: Any) -> set[str]:
    """Names of the image inputs whose pixels are whole numbers, 0 to 255."""
    images = {feature.name: feature.type.imageType for feature in description if feature.type.HasField("imageType")}
    return {name for name, kind in images.items() if COLOURS.get(int(kind.colorSpace)) != "GRAYSCALE_FLOAT16"}


def size_limits(kind: Any) -> tuple[tuple[int, float], tuple[int, float]] | None:
    """(smallest, largest) width and height where an image input takes a range; a negative end is open."""
    if kind.WhichOneof("SizeFlexibility") != "imageSizeRange":
        return None
    both = kind.imageSizeRange.widthRange, kind.imageSizeRange.heightRange
    wide, high = ((int(limits.lowerBound), limits.upperBound if limits.upperBound >= 0 else np.inf) for limits in both)
    return wide, high


def allowed_sizes(kind: Any) -> set[tuple[int, int]]:
    """(width, height) that an image input takes; empty where a range is open."""
    flexible = kind.WhichOneof("SizeFlexibility")
    if flexible == "imageSizeRange":
        return set()
    sizes = {(int(kind.width), int(kind.height))}
    if flexible == "enumeratedSizes":
        sizes |= {(int(size.width), int(size.height)) for size in kind.enumeratedSizes.sizes}
    return sizes


def from_array(name: str, kind: Any, value: Any) -> Tensor:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"the input {name} is an array of numbers with rows of one length ({error})") from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"the input {name} is an array of numbers, got {array.dtype}")
    shapes = [tuple(kind.shape)] if kind.shape else []
    flexible = kind.WhichOneof("ShapeFlexibility")
    if flexible == "enumeratedShapes":
        shapes += [tuple(shape.shape) for shape in kind.enumeratedShapes.shapes]
    if flexible == "shapeRange":
        bounds = [(r.lowerBound, r.upperBound if r.upperBound >= 0 else np.inf) for r in kind.shapeRange.sizeRanges]
        wanted = " x ".join(str(low) if low == high else f"{low}..{high:.0f}" for low, high in bounds)
        fits = len(bounds) == array.ndim and all(
            low <= n <= high for n, (low, high) in zip(array.shape, bounds, strict=True)
        )
    else:
        fits = not shapes or array.shape in shapes
        wanted = " or ".join(map(str, sorted(set(shapes))[:5]))
    if not fits:
        raise InputError(f"the input {name} takes the shape {wanted}, got {array.shape}")
    dtype = ARRAYS.get(int(kind.dataType), np.float32)
    return torch.from_numpy(exactly(name, array, dtype) if np.dtype(dtype).kind == "i" else np.array(array, dtype))


def write_outputs(description: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """What `predict` returns, by the output's name: arrays as NumPy, labels as text, class probabilities as a dict."""
    outputs = {}
    for feature in description:
        value = values[feature.name]
        kind = feature.type.WhichOneof("Type")
        if kind == "multiArrayType" and isinstance(value, Tensor):
            value = value.numpy().astype(ARRAYS.get(int(feature.type.multiArrayType.dataType), np.float32))
        elif kind == "imageType" and isinstance(value, Tensor):
            value = to_image(feature.name, feature.type.imageType, value)
        elif kind in {"int64Type", "doubleType"} and isinstance(value, Tensor):
            if value.numel() != 1:
                raise InputError(f"the output {feature.name} is described as a number; it has {tuple(value.shape)}")
            value = value.item()
        elif kind == "stringType" and isinstance(value, list):
            if not value:
                raise InputError(f"the output {feature.name} is described as a text; there is none")
            value = value[0]
        outputs[feature.name] = value
    return outputs


def to_image(name: str, kind: Any, value: Tensor) -> Any:
    """(1, C, H, W) of 0..255 -> a PIL image; values are rounded and cut to 0..255."""
    from PIL import Image

    colours = COLOURS.get(int(kind.colorSpace))
    channels = 1 if colours in {"GRAYSCALE", "GRAYSCALE_FLOAT16"} else 3
    if value.ndim != 4 or tuple(value.shape[:2]) != (1, channels) or not value.numel():
        raise InputError(
            f"the output {name} is described as a {colours} image, (1, {channels}, H, W); it has {tuple(value.shape)}"
        )
    pixels = value[0].permute(1, 2, 0).numpy()
    if colours == "GRAYSCALE_FLOAT16":
        return Image.fromarray(pixels[..., 0].astype(np.float32), "F")
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if colours == "GRAYSCALE":
        return Image.fromarray(whole[..., 0], "L")
    return Image.fromarray(np.ascontiguousarray(whole[..., ::-1] if colours == "BGR" else whole), "RGB")
