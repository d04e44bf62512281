"""Workaround for coremltools 9.0, which silently replaces the tanh form of GELU by the exact one.

Its reader of `gelu` looks at positional arguments only, and torch.export passes `approximate` by name.
"""

from __future__ import annotations

from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.frontend.torch.ops import _get_inputs, _get_kwinputs
from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

MODES = {"none": "EXACT", "tanh": "TANH_APPROXIMATION"}


@register_torch_op(override=True)
def gelu(context, node) -> None:
    inputs = _get_inputs(context, node, min_expected=1)
    (approximate,) = _get_kwinputs(context, node, "approximate", default=inputs[1:2] or [None])
    mode = MODES["none" if approximate is None else getattr(approximate, "val", approximate)]
    context.add(mb.gelu(x=inputs[0], mode=mode, name=node.name))
