"""A way around coremltools 9.0: a classifier with an output beside the class.

When it describes such a program's outputs it counts the class label among them, looks up a type for each by its place,
and runs out of types. One more type at the end of the list is all it needs; nobody reads what it says.
"""

from __future__ import annotations

import coremltools as ct
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_registry import register_pass

PASS = "dermedge::one_more_output_type"


@register_pass(namespace="dermedge")
class one_more_output_type(AbstractGraphPass):
    def apply(self, prog) -> None:
        main = prog.functions["main"]
        main.set_output_types([*main.output_types, ct.TensorType()])


def with_outputs(pipeline: ct.PassPipeline, count: int) -> ct.PassPipeline:
    """The passes for a classifier with so many outputs, the probabilities among them."""
    if count > 1:
        pipeline.append_pass(PASS)
    return pipeline
