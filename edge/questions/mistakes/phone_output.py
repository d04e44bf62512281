"""What an app answered, read from a file or from the command line; it comes from strangers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.metrics.observations import SUM_TOLERANCE

MAX_BYTES = 2**20
EXPECTED = (
    'a list of numbers in the order of the manifest\'s labels, as in [0.1, 0.7, …] or 0.1,0.7,…, or {"MEL": 0.1, …} by '
    'class code, bare or as the "probabilities" or "logits" of an object'
)


@dataclass(frozen=True)
class PhoneOutput:
    values: np.ndarray  # (K,), in the manifest's order
    logits: bool  # no probabilities, but perhaps what softmax would be given


def read_output(text: str, codes: Sequence[str]) -> PhoneOutput:
    """`text`: a path, or the numbers themselves. InputError for anything that can be neither."""
    where, contents = contents_of(text)
    stated = None
    value = parsed(contents, where)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict | list):
        value = value[0]  # what `dermedge predict --json` prints, and a batch of one
    if isinstance(value, dict):
        stated = next((key for key in ("probabilities", "logits") if key in value and key not in codes), None)
        value = value[stated] if stated else value
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]
    return checked(in_order(value, codes, where), logits=stated == "logits", where=where)


def contents_of(text: str) -> tuple[str, str]:
    """(what messages call it, the text of the file or the text itself)."""
    if text.lstrip()[:1] in {"[", "{"}:
        return "`phone_output`", text
    path = Path(text)
    if re.fullmatch(r"[-+\d.,;\seE]*", text) and not path.is_file():
        return "`phone_output`", f"[{bare(text)}]"
    if not path.is_file():
        raise InputError(f"`phone_output`: there is no file {path}, and it is no list of numbers; expected {EXPECTED}")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES} bytes; expected {EXPECTED}")
    try:
        return str(path), path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text ({error}); expected {EXPECTED}") from error


def bare(text: str) -> str:
    """Numbers apart by commas, semicolons or blanks, as JSON has them: `.5` and `+1` are none there."""
    words = re.split(r"[,;\s]+", text.strip().strip(",;"))
    return ", ".join(re.sub(r"^([-]?)\.", r"\g<1>0.", re.sub(r"\.(?=$|[eE])", ".0", w.lstrip("+"))) for w in words)


def parsed(contents: str, where: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise InputError(f"{where} has {twice!r} twice; expected {EXPECTED}")
        return dict(pairs)

    try:
        return json.loads(contents, object_pairs_hook=once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({error}); expected {EXPECTED}") from error


def in_order(value: Any, codes: Sequence[str], where: str) -> list[float]:
    """The numbers in the order of the manifest."""
    if isinstance(value, Mapping):
        missing, strange = [c for c in codes if c not in value], [c for c in value if c not in codes]
        if missing or strange:
            wrong = [f"{', '.join(missing)} missing"] if missing else []
            wrong += [f"{', '.join(repr(c)[:40] for c in strange[:5])} unknown"] if strange else []
            raise InputError(f"{where}: {'; '.join(wrong)}; the manifest's classes are {', '.join(codes)}")
        value = [value[code] for code in codes]
    if not isinstance(value, list):
        raise InputError(f"{where} holds {type(value).__name__}; expected {EXPECTED}")
    bad = next((one for one in value if isinstance(one, bool) or not isinstance(one, int | float)), None)
    if bad is not None or any(one is None for one in value):
        raise InputError(f"{where} holds {str(bad)[:40]!r}, which is no number; expected {EXPECTED}")
    if len(value) != len(codes):
        raise InputError(
            f"{where} has {len(value)} numbers, the manifest {len(codes)} classes ({', '.join(codes)}); hand over all "
            "of them, not only the best"
        )
    try:
        return [float(one) for one in value]
    except OverflowError as error:
        raise InputError(f"{where} holds a number beyond all floats; look at how the app reads its output") from error


def checked(numbers: Sequence[float], *, logits: bool, where: str) -> PhoneOutput:
    """Probabilities, or what may be logits; InputError for what is neither."""
    values = np.array(numbers, np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            f"{where} holds NaN or infinity: the app read its output before it was filled, or as another type "
            "(float16 as float32); expected numbers"
        )
    total = values.sum()
    within = (values >= -SUM_TOLERANCE).all() and (values <= 1 + SUM_TOLERANCE).all()
    if logits or not within:
        scaled = {"per cent": 100.0, "bytes of a quantised output": 256.0}
        for scale, whole in scaled.items():
            if not logits and (values >= 0).all() and abs(total - whole) <= SUM_TOLERANCE * whole:
                raise InputError(
                    f"{where}: the numbers sum to {total:g}, as {scale}; divide them by {whole:g} and hand them over "
                    "again"
                )
        return PhoneOutput(values, logits=True)
    if abs(total - 1) > SUM_TOLERANCE:
        raise InputError(
            f"{where}: the numbers lie in 0..1 and sum to {total:.4g}; expected probabilities, which sum to 1. Hand "
            'over all classes, not rounded, of one photograph; logits are {"logits": […]}. A sigmoid for each class is '
            "another mistake: the model's output is a softmax already"
        )
    return PhoneOutput(values, logits=False)
