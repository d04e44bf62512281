"""Graph rewrites: an ATen graph in, an equal and better one out. One idea per file, no model's name in any."""

from __future__ import annotations

from ._fold_batchnorm import fold_batchnorm
from ._pooling_matrices import pooling_matrices

# In this order: folding first, so that every later pass and the quantiser see the weights that will run.
PASSES = (fold_batchnorm, pooling_matrices)
