"""What parameters of ops are annotated with, beside Tensor and Python's own types; `bind` reads the names."""

import torch
from torch import Tensor

Ints = list[int]  # a constant list of whole numbers
Floats = list[float]
Tensors = list[Tensor]  # several tensors: `values` of concat, say
Values = list  # several values of any kind: the variables of a loop
Sizes = list[int | str]  # a shape in which a text stands for a size that is not known before the program runs
# Weights or biases of recurrent layers; Core ML has their rows as input, forget, output, cell; reset, new, update.
LstmRows = Tensor
GruRows = Tensor


def swapped(rows: Tensor, parts: int) -> Tensor:
    """The last two of equal parts of the rows in the other order, as torch has them."""
    if rows.ndim == 0 or len(rows) % parts:
        raise ValueError(f"rows of shape {tuple(rows.shape)} cannot be divided among {parts} gates")
    *before, last_but_one, last = rows.chunk(parts)
    return torch.cat([*before, last, last_but_one])


# Kind of a parameter -> how a tensor that comes for it is laid out anew; of constants once, when a program is opened.
LAYOUTS = {"LstmRows": lambda rows: swapped(rows, 4), "GruRows": lambda rows: swapped(rows, 3)}
