"""The name that marks the constant matrix of a resize, in graphs and in files.

Such a matrix is no learned weight: 8-bit recipes leave it as it is, no training touches it, and it does not count among
the layers that have to be in 8 bits.
"""

from __future__ import annotations

MATRIX = "resize_matrix"


def is_matrix(name: str) -> bool:
    """Whether a constant of this name is the matrix of a resize, or one that another tool made of it."""
    return MATRIX in name
