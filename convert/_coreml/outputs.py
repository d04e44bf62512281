"""Workaround for coremltools 9.0: a classifier with another output beside the class.

When it describes such a program's outputs it counts the class label among them, looks up a type for each by its place,
and runs out of types. One more type at the end of the list avoids that; its contents are never read.
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
    """`pipeline`, completed for a classifier with `count` outputs, the probabilities included."""
    if count > 1:
        pipeline.append_pass(PASS)
    return pipeline
