"""What the page says of operations is complete: which are known, and which of them Apple defines in words alone."""

from __future__ import annotations

import re
from pathlib import Path

from coremltools.converters.mil.mil import Operation
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from edge.runtimes.coreml.control import CONTROL
from edge.runtimes.coreml.ops import TABLE

PAGE = Path(__file__).parents[4] / "docs" / "core_ml.md"
NOT_RUN = {"const", "_const_symbolic"}  # values, which are read with the program
REGISTERED = {kind: tuple(versions.values()) for kind, versions in SSAOpRegistry.core_ops.items() if versions}


def computed_by_apple(operation: type[Operation]) -> bool:
    """Whether coremltools computes the operation for constants."""
    return operation.value_inference is not Operation.value_inference or hasattr(
        operation, "materialized_val_inference"
    )


def test_every_operation_without_a_definition_of_apples_is_listed_with_its_source() -> None:
    section = PAGE.read_text().split("### Where Apple states no result")[1].split("###")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    listed = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}
    without = {
        kind
        for kind in {*TABLE, *CONTROL}
        if not REGISTERED.get(kind) or not all(computed_by_apple(version) for version in REGISTERED[kind])
    }
    assert sorted(without - listed) == []
    assert sorted(listed - {*TABLE, *CONTROL}) == []


def test_every_operation_that_coremltools_writes_is_known() -> None:
    assert sorted(set(REGISTERED) - {*TABLE, *CONTROL} - NOT_RUN) == []
