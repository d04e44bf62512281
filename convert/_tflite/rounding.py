"""Rounds weights to 8 bits so that a layer's answer changes least, rather than each weight to its nearest value.

With X the inputs of a layer (rows) and w one output channel's weights, rounding w to q changes the answers by (q - w)
X^T, whose square is (q - w) H (q - w)^T with H = X^T X. Weights are rounded one after the other, those with the largest
H_ii first; the weights that are still free are adjusted to make up for each error, by the second-order expansion (GPTQ:
Frantar et al. 2022, arXiv 2210.17323, equations 2 and 3, in its Cholesky form).

The result is a float file whose weights lie on the 8-bit grid that the quantiser will find: scale max |w| / 127 for
every output channel, the largest weight kept where it was. H comes from photographs of training patients. The choice is
stored as steps from the nearest grid point, nearly all 0, 1 or -1, so that a checkpoint can bring it along.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.files import moved_into_place

from .flatbuffer import pack, unpack
from .layers import STAY_FLOAT, Weighted, activations, name_of, values_of, weighted

SAME = 0  # the schema's number of this padding
LEVELS = 127
DAMPING = 0.01  # of the mean of H's diagonal, added to it: few images leave H singular
MAX_BYTES = 2**30
Steps = Mapping[str, np.ndarray]  # weight tensor -> int8, how many grid points away from the nearest


def second_moments(content: bytes, images: np.ndarray) -> dict[int, np.ndarray]:
    """Weight tensor -> H, float64 (K, K) over the weights of one output channel; depthwise (C, k k, k k).

    `images` are uint8 (N, S, S, 3). A weight that several operators read gets the sum.
    """
    layers = weighted(unpack(content))
    moments: dict[int, np.ndarray] = {}
    for tensor in activations(content, images, "what the layers see"):
        for layer in layers:
            rows = inputs_of(layer, tensor(layer.input))
            moments[layer.weight] = moments.get(layer.weight, 0.0) + (rows.transpose(0, 2, 1) @ rows).astype(np.float64)
    return moments


def inputs_of(layer: Weighted, x: np.ndarray) -> np.ndarray:
    """What the weights of one output channel are multiplied with: float32 (groups, places, weights)."""
    if layer.operator == "FULLY_CONNECTED":
        return x.reshape(1, -1, layer.shape[1])
    height, width = layer.shape[1:3]
    options = layer.options
    if layer.operator == "TRANSPOSE_CONV":
        return inputs_of_transposed(layer, x)
    steps, spread = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    if options.padding == SAME:
        x = np.pad(
            x, [(0, 0), *(around(x.shape[i + 1], layer.shape[i + 1], steps[i], spread[i]) for i in (0, 1)), (0, 0)]
        )
    reach = [spread[i] * (layer.shape[i + 1] - 1) + 1 for i in (0, 1)]
    windows = np.lib.stride_tricks.sliding_window_view(x[0], reach, axis=(0, 1))  # (rows, columns, C, kh, kw)
    windows = windows[:: steps[0], :: steps[1], :, :: spread[0], :: spread[1]]
    if layer.operator == "DEPTHWISE_CONV_2D":
        channels = windows.transpose(2, 0, 1, 3, 4).reshape(x.shape[3], -1, height * width)
        return channels.repeat(layer.shape[3] // x.shape[3], axis=0)
    groups, own = x.shape[3] // layer.shape[3], layer.shape[3]
    split = windows.reshape(*windows.shape[:2], groups, own, *windows.shape[3:])
    return split.transpose(2, 0, 1, 4, 5, 3).reshape(groups, -1, height * width * own)


def inputs_of_transposed(layer: Weighted, x: np.ndarray) -> np.ndarray:
    """The same for a transposed convolution, including the results that it cuts off at the border."""
    height, width, own = layer.shape[1:]
    down, right = layer.options.strideH, layer.options.strideW
    rows, columns = ((n - 1) * step + 1 for n, step in zip(x.shape[1:3], (down, right), strict=True))
    wide = np.zeros((rows + 2 * (height - 1), columns + 2 * (width - 1), own), np.float32)
    wide[height - 1 :, width - 1 :][:rows:down, :columns:right] = x[0]
    windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(0, 1))[..., ::-1, ::-1]
    return windows.transpose(0, 1, 3, 4, 2).reshape(1, -1, height * width * own)


def around(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """How much SAME pads before and behind (the TFLite reference kernels)."""
    total = max((-(-length // stride) - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2


def steps_for(content: bytes, moments: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Weight tensor -> how many grid points each weight is put away from the nearest one, int8 in its shape."""
    model = unpack(content)
    steps_by_weight = {}
    for layer in weighted(model):
        values = values_of(model, layer)
        rows = by_channel(values, layer)
        h = moments[layer.weight]  # of each group; its output channels lie next to each other
        chosen = np.concatenate([rounded_rows(some, own) for some, own in zip(np.split(rows, len(h)), h, strict=True)])
        steps = chosen - np.round(rows / scales_of(rows))
        steps_by_weight[name_of(model, layer.weight)] = back(steps, layer).clip(-128, 127).astype(np.int8)
    return steps_by_weight


def rounded_rows(rows: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Weights (O, K) as whole numbers of their row's scale, chosen with H (K, K)."""
    scales = scales_of(rows)
    order = np.argsort(-np.diagonal(h), kind="stable")
    h = h[np.ix_(order, order)] + np.eye(len(h)) * max(DAMPING * np.diagonal(h).mean(), 1e-8)
    # row k of the upper factor of H^-1 says how the error of weight k is spread over the weights after it
    factor = np.linalg.cholesky(np.linalg.inv(h)).T
    left = (rows / scales)[:, order]
    largest = np.abs(left).argmax(axis=1)
    chosen = np.empty_like(left)
    for k in range(left.shape[1]):
        value = np.round(left[:, k]).clip(-LEVELS, LEVELS)
        # the quantiser takes the scale from the largest weight, so that one has to stay
        value = np.where(largest == k, np.sign(rows[np.arange(len(rows)), order[k]]) * LEVELS, value)
        chosen[:, k] = value
        lost = (left[:, k] - value) / factor[k, k]
        left[:, k + 1 :] -= lost[:, None] * factor[k, k + 1 :]
    result = np.empty_like(chosen)
    result[:, order] = chosen
    return result


def scales_of(rows: np.ndarray) -> np.ndarray:
    """Of every row: the largest weight over 127; 1 where all are zero."""
    scales = np.abs(rows).max(axis=1, keepdims=True) / LEVELS
    return np.where(scales == 0, 1.0, scales)


def by_channel(values: np.ndarray, layer: Weighted) -> np.ndarray:
    """(O, K): one row for each output channel."""
    return np.moveaxis(values, layer.channel_axis, 0).reshape(values.shape[layer.channel_axis], -1)


def back(rows: np.ndarray, layer: Weighted) -> np.ndarray:
    axis = layer.channel_axis
    rest = [n for i, n in enumerate(layer.shape) if i != axis]
    return np.moveaxis(rows.reshape([layer.shape[axis], *rest]), 0, axis)


def rounded(content: bytes, steps: Steps) -> bytes:
    """The float file with its weights on the grid points that `steps` names. InputError if they do not fit it."""
    model = unpack(content)
    done: set[int] = set()
    for layer in weighted(model):
        name = name_of(model, layer.weight)
        if layer.weight in done:
            continue
        done.add(layer.weight)
        if name not in steps or steps[name].shape != layer.shape or steps[name].dtype != np.int8:
            raise InputError(
                f"the kept rounding (.rounding.npz) does not fit the weight {name} {layer.shape}; it was changed or "
                "damaged: measure anew with `measure_again`"
            )
        rows = by_channel(values_of(model, layer), layer)
        scales = scales_of(rows)
        points = (np.round(rows / scales) + by_channel(steps[name], layer)).clip(-LEVELS, LEVELS) * scales
        buffer = model.buffers[model.subgraphs[0].tensors[layer.weight].buffer]
        buffer.data = np.frombuffer(back(points, layer).astype(np.float32).tobytes(), np.uint8)
    return pack(model)


def with_float_depthwise(content: bytes, float32: bytes) -> bytes:
    """A rounded file with the weights of its depthwise convolutions as they are in the float file.

    In files with 8-bit activations these stay float (`layers.described`), so that rounding them would only do harm.
    """
    model, original = unpack(content), unpack(float32)
    values = {name_of(original, layer.weight): values_of(original, layer) for layer in weighted(original)}
    for layer in weighted(model):
        if layer.operator in STAY_FLOAT:
            buffer = model.buffers[model.subgraphs[0].tensors[layer.weight].buffer]
            own = values[name_of(model, layer.weight)].astype(np.float32)
            buffer.data = np.frombuffer(own.tobytes(), np.uint8)
    return pack(model)


def beside(checkpoint: Path) -> Path:
    """Where the rounding of a checkpoint's weights is kept."""
    return checkpoint.with_suffix(".rounding.npz")


def save(path: Path, steps: Steps, *, checkpoint_sha256: str, key: str) -> None:
    with moved_into_place(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **{f"{key}/{checkpoint_sha256}": np.zeros(0, np.int8)}, **steps)  # type: ignore[arg-type]


def load(path: Path, *, checkpoint_sha256: str, key: str) -> dict[str, np.ndarray] | None:
    """The steps kept for this checkpoint and graph, or None; InputError if the file is no rounding."""
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > MAX_BYTES:
            raise InputError(f"{path} unpacks to {total} bytes, more than {MAX_BYTES}; remove it")
        with np.load(path, allow_pickle=False) as stored:
            if f"{key}/{checkpoint_sha256}" not in stored.files:
                return None
            return {name: stored[name] for name in stored.files if name != f"{key}/{checkpoint_sha256}"}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, OSError) as error:
        raise InputError(f"{path} is no rounding of weights ({error}); remove it and convert again") from error
