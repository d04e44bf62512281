"""Which operation of a converted file is the first to leave the torch model: what a failed gate says of its cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.checkpoint import Checkpoint
from edge.errors import InputError
from edge.exporting import first_line
from edge.questions.layers.findings import compared
from edge.questions.layers.measure import traced
from edge.questions.layers.wording import headline
from edge.runtimes.inside import look_inside


def first_off(checkpoint: Checkpoint, path: Path, form: str, images: np.ndarray) -> str:
    """In words: the operation, its module, its line, what it gave and what torch gave, on uint8 `images` (N, S, S, 3).

    Also in words where that cannot be told: the judgement stands without it.
    """
    try:
        network, _ = traced(checkpoint, images)
        rows = compared(network, look_inside(path, form, images), f"{path.name}: looking for the first operation off")
    except InputError as error:
        return f"which operation is off cannot be told: {error}"
    except Exception as error:  # of a runtime or of torch, on a file that is wrong
        return f"which operation is off cannot be told ({type(error).__name__}: {first_line(error)})"
    return headline({"file": path.name, "note": "", **rows})
