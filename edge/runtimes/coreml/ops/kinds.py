"""What parameters of ops are annotated with, beside Tensor and Python's own types; `bind` reads the names."""

from torch import Tensor

Ints = list[int]  # a constant list of whole numbers
Floats = list[float]
Tensors = list[Tensor]  # several tensors: `values` of concat, say
