"""Tensors from files: safetensors, and foreign .pth files as data alone. Nothing in a file is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MAX_WEIGHT_BYTES = 2 * 2**30
FOREIGN_SUFFIXES = frozenset({".pth", ".pt", ".ckpt", ".bin", ".tar"})  # of files that are read as tensors alone
NESTED = ("state_dict", "model", "model_state_dict")  # where training scripts put the state dict


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file of bounded size; InputError if it is cut off or something else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise InputError(f"{path} is larger than {MAX_WEIGHT_BYTES} bytes; expected the weights of one model")
    with path.open("rb"):  # safetensors says of a file that may not be read that it is not there
        pass
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no complete safetensors file ({error}); copy or download it again") from error


def check_there(path: Path) -> None:
    """InputError if there is no such file."""
    if not path.is_file():
        raise InputError(f"no weights at {path}")


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth (weights only) or .safetensors file; a `state_dict` or `model` inside is opened."""
    import warnings
    import zipfile

    import torch

    check_there(path)
    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise InputError(f"{path} is larger than {MAX_WEIGHT_BYTES} bytes; expected the weights of one model")
    if path.suffix == ".safetensors":
        return read_weights(path)
    with path.open("rb"):  # whoever may not read it is told so
        pass
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # a small file may unpack to a huge one
                if sum(entry.file_size for entry in archive.infolist()) > MAX_WEIGHT_BYTES:
                    raise InputError(f"{path} unpacks to more than {MAX_WEIGHT_BYTES} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # whatever a hostile file does to the unpickler; its own advice must not be repeated
        raise InputError(
            f"{path} is cut off, or holds more than tensors ({type(error).__name__}); "
            "save the state dict alone with torch.save(model.state_dict(), …)"
        ) from error
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items())
    ):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a state dict (names -> tensors)")
    check_plain(content, path)
    return content


def check_plain(state: dict[str, Tensor], path: Path) -> None:
    """InputError for tensors that are no plain numbers in memory, or that would be larger there than a model's."""
    import torch

    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu" or value.is_nested:
            kind = "quantised" if value.is_quantized else f"{value.layout}, on {value.device}"
            raise InputError(f"{path}: {name} is {kind}; expected a dense tensor of numbers")
    size = sum(value.numel() * value.element_size() for value in state.values())  # views may share a few bytes
    if size > MAX_WEIGHT_BYTES:
        raise InputError(f"{path} unpacks to {size} bytes, more than {MAX_WEIGHT_BYTES}; expected one model's weights")


def as_float32(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights in the precision that networks are run in, whole numbers as they are.

    InputError where weights are NaN, infinite or become so, are complex, and where a variance is negative.
    """
    import torch

    odd = [name for name, value in state.items() if value.is_complex()]
    if odd:
        raise InputError(f"{path}: {odd[0]} is {state[odd[0]].dtype}; expected float32, or what becomes it")
    floats = {name: value.to(torch.float32) if value.is_floating_point() else value for name, value in state.items()}
    broken = [
        name
        for name, value in floats.items()
        if not value.isfinite().all() or (name.endswith("running_var") and bool((value < 0).any()))
    ]
    if broken:
        raise InputError(
            f"{path} has weights in {len(broken)} tensors that are NaN, beyond float32 or a negative variance, first "
            f"{broken[0]}; its training diverged or the file is damaged, take another"
        )
    return floats
