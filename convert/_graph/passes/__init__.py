"""Graph rewrites: an ATen graph in, an equal and better one out. One idea per file, no model's name in any."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import fx

from .average_borders import average_borders, plain_averages
from .batch_axis import batch_axis
from .channels_last import channels_last
from .dilated_pools import dilated_pools
from .drop_identities import drop_identities
from .fold_batchnorm import fold_batchnorm
from .fold_constants import fold_constants
from .fold_scales import fold_scales
from .fold_shifts import fold_shifts
from .group_norms import group_norms, norms_by_axis
from .grouped_queries import grouped_queries
from .kept_statistics import kept_statistics
from .largest_values import largest_values
from .linear_as_convolution import linear_as_convolution
from .near_zero import near_zero
from .norms_in_half import norms_in_half
from .one_row import one_row
from .patches import overlapping_patches, patches
from .plain_activations import careful_activations, plain_activations
from .plain_angles import plain_angles
from .plain_choices import plain_choices
from .plain_functions import plain_functions, unknown_functions
from .plain_layer_norm import plain_layer_norm
from .plain_moves import plain_diagonals, plain_moves, plain_padding
from .plain_quotients import plain_quotients
from .plain_reductions import careful_reductions, plain_reductions
from .pool_borders import pool_borders, whole_maxima
from .pooling_matrices import pooling_matrices
from .rearrange import rearrange
from .resizes import resizes, uneven_resizes
from .same_borders import same_borders
from .share_results import share_results
from .sorted_values import middle_values, sorted_values
from .spell_out import masked_attention, plain_rolls, spell_out
from .split_after import split_after
from .split_before import split_before
from .strided_slices import strided_slices
from .sum_factors import sum_factors
from .transposed_convolutions import transposed_convolutions
from .transposed_products import transposed_products
from .undilate import undilate
from .written_places import written_places
from .zero_mean_streams import zero_mean_streams

Pass = Callable[[fx.GraphModule], tuple[fx.GraphModule, int]]

# In this order: folding first, so that every later pass and the quantiser see the weights that will run.
PASSES: tuple[Pass, ...] = (
    drop_identities, sum_factors, fold_constants, kept_statistics, fold_batchnorm, batch_axis, pooling_matrices,
    resizes, largest_values, grouped_queries, written_places,
)  # fmt: skip
# For Core ML. Its converter knows group norms, but reshapes the map to rank 5 for them and loses some 20 dB in float32.
NEURAL_ENGINE_PASSES: tuple[Pass, ...] = (
    *PASSES, uneven_resizes, undilate, dilated_pools, plain_averages, whole_maxima, plain_rolls, plain_padding,
    careful_reductions, group_norms, overlapping_patches, masked_attention, careful_activations, middle_values,
    plain_quotients, unknown_functions, plain_angles, near_zero, plain_choices,
    plain_diagonals,
)  # fmt: skip
# For Core AI; in half precision, too.
CORE_AI_PASSES: tuple[Pass, ...] = (*PASSES, uneven_resizes)
HALF_PASSES: tuple[Pass, ...] = (*CORE_AI_PASSES, linear_as_convolution)
# What TFLite's operators ask for on top of PASSES. What has a name of its own is spelled out first, so that the others
# know it; a transposed convolution may become a pixel shuffle before that. Layer norms give up their scale before
# scales are folded, shifts pass scales while these are there, products take keys as they are before pieces of a split
# are compared, and what chains of transposes remain is known at the end.
MOBILE_PASSES: tuple[Pass, ...] = (
    one_row,
    patches,
    transposed_convolutions,
    norms_by_axis,
    plain_activations,
    plain_quotients,
    plain_functions,
    plain_reductions,
    plain_moves,
    sorted_values,
    spell_out,
    average_borders,
    dilated_pools,
    pool_borders,
    split_before,
    zero_mean_streams,
    plain_layer_norm,
    fold_shifts,
    fold_scales,
    transposed_products,
    split_after,
    channels_last,
    strided_slices,
    rearrange,
    share_results,
    same_borders,
)

# What ONNX's operators ask for: the same, but they keep channels first and have no product that turns a factor round.
ONNX_PASSES: tuple[Pass, ...] = (
    uneven_resizes,
    *(one for one in MOBILE_PASSES if one not in {channels_last, transposed_products, same_borders}),
)
# After all others, for files that GPUs may compute in half precision.
HALF_SUM_PASSES: tuple[Pass, ...] = (norms_in_half,)


def rewrite(graph: fx.GraphModule, passes: Sequence[Pass]) -> tuple[fx.GraphModule, dict[str, int]]:
    """The graph after all passes, and how often each fired."""
    fired = {}
    for one in passes:
        graph, fired[one.__name__] = one(graph)
    return graph, fired
