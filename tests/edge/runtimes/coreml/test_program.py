"""The saved file itself: typed values, inputs and outputs as the package describes them, damage that is named."""

from __future__ import annotations

import re
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil.operation import Operation as MilOperation
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml.control import CONTROL
from edge.runtimes.coreml.ops import TABLE
from tests.edge.runtimes.coreml._programs import run, saved

ROOT = Path(__file__).parents[4]


def test_a_cast_cuts_towards_zero():
    x = np.array([[-1.7, 1.7, 0.2]], np.float32)
    (found,) = run(lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), {"x": x})
    np.testing.assert_array_equal(found, [[-1, 1, 0]])


def test_a_function_of_several_is_opened_by_name(tmp_path: Path):
    x = {"x": np.array([1.5, -2.0], np.float32)}
    both = ct.utils.MultiFunctionDescriptor()
    for name, factor in (("double", 2.0), ("triple", 3.0)):
        (tmp_path / name).mkdir()
        path = saved(lambda x, factor=factor: mb.mul(x=x, y=np.float32(factor)), x, tmp_path / name, ios=18)
        both.add_function(str(path), src_function_name="main", target_function_name=name)
    both.default_function_name = "triple"
    package = tmp_path / "both.mlpackage"
    ct.utils.save_multifunction(both, str(package))

    def answer(**keywords: str) -> list[float]:
        return next(iter(coreml.load(package, **keywords).predict(x).values())).tolist()

    assert answer(function_name="double") == [3, -4]
    assert answer(function_name="triple") == answer() == [4.5, -6]
    with pytest.raises(InputError, match="no function quadruple; it has double, triple"):
        coreml.load(package, function_name="quadruple")


def test_a_cast_to_a_type_that_does_not_exist_is_named(tmp_path: Path):
    x = {"x": np.array([1.5], np.float32)}
    path = saved(lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), x, tmp_path)
    file = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    content = file.read_bytes()
    assert b"int32" in content
    file.write_bytes(content.replace(b"int32", b"inx32"))
    with pytest.raises(InputError, match=r"cast .*the type inx32 is not one of"):
        coreml.load(path).predict(x)


def test_the_page_names_every_operation_for_which_apple_states_no_result() -> None:
    """Those that coremltools itself cannot compute: what they give here was taken from somewhere else."""
    page = (ROOT / "docs" / "core_ml.md").read_text(encoding="utf-8")
    listed = page[page.index("### Where Apple states no result") : page.index("### Packages of others")]
    named = set(re.findall(r"`(\w+)`", listed))
    without = set()
    for kind in {*TABLE, *CONTROL} & set(SSAOpRegistry.core_ops):
        for op in SSAOpRegistry.core_ops[kind].values():
            stated = op.value_inference is not MilOperation.value_inference
            if not stated and not hasattr(op, "materialized_val_inference"):
                without.add(kind)
    assert len(without) > 30
    assert not without - named
