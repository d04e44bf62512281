"""Control flow and lists: conditions, loops in loops, and lists that old versions of stay what they were."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml import control
from edge.runtimes.coreml.ops.lists import list_write, make_list
from tests.edge.runtimes.coreml._programs import run, saved

FLAG = {True: np.array([1], np.int32), False: np.array([0], np.int32)}


def flagged(flag):
    return mb.squeeze(x=mb.cast(x=flag, dtype="bool"))


@pytest.mark.parametrize("flag", [True, False])
def test_one_branch_is_taken_and_the_other_is_not_run(flag: bool) -> None:
    """The branch that is not taken would fail: it gathers what is not there."""
    x = np.array([2.0, 3.0], np.float32)

    def build(flag, x):
        outside = mb.mul(x=x, y=np.float32(10))

        def good():
            return mb.add(x=outside, y=np.float32(1)), x

        def bad():
            return mb.gather(x=x, indices=mb.cast(x=outside, dtype="int32"), axis=0), outside

        return mb.cond(pred=flagged(flag), _true_fn=good, _false_fn=bad)

    inputs = {"flag": FLAG[flag], "x": x}
    if flag:
        first, second = run(build, inputs)
        assert first.tolist() == [21, 31] and second.tolist() == [2, 3]
    else:
        with pytest.raises(InputError, match=r"op \d+ in cond \(.*\), gather .*failed"):
            run(build, inputs)


@pytest.mark.parametrize(("x", "y"), [(0.0, 10.0), (3.0, 3.0), (5.0, 21.0)])
def test_loops_in_loops(x: float, y: float) -> None:
    def build(x, y):
        two = mb.const(val=np.array([2.0], np.float32))

        def inner_goes_on(i):
            return mb.less(x=mb.mul(x=two, y=i), y=mb.add(x=i, y=two))

        def outer(i, end):
            i = mb.while_loop(_cond=inner_goes_on, _body=lambda i: mb.add(x=i, y=np.float32(1)), loop_vars=(i,))
            return mb.add(x=i, y=two), end

        return mb.while_loop(_cond=lambda i, end: mb.less(x=i, y=end), _body=outer, loop_vars=(x, y))

    i = x
    while i < y:
        while 2 * i < i + 2:
            i += 1
        i += 2
    results = run(build, {"x": np.array([x], np.float32), "y": np.array([y], np.float32)})
    assert [float(value[0]) for value in results] == [i, y]


def test_a_loop_that_never_ends_is_named(monkeypatch) -> None:
    monkeypatch.setattr(control, "MAX_ROUNDS", 50)

    def build(x):
        same = mb.while_loop(
            _cond=lambda x: mb.squeeze(x=mb.greater(x=x, y=np.float32(0))), _body=lambda x: mb.relu(x=x), loop_vars=(x,)
        )
        return mb.identity(x=same)

    assert run(build, {"x": np.array([-1.0], np.float32)})[0].tolist() == [-1]
    with pytest.raises(InputError, match=r"while_loop .*has not ended after 50 rounds"):
        run(build, {"x": np.array([1.0], np.float32)})


def test_rounds_of_loops_in_a_loop_are_counted_together(monkeypatch) -> None:
    """A damaged loop of a million rounds in one of a million would never come to an end."""

    def build(x):
        def outer(x):
            inner = mb.while_loop(
                _cond=lambda i: mb.less(x=i, y=np.float32(10)), _body=lambda i: mb.add(x=i, y=np.float32(1)),
                loop_vars=(np.float32(0),),
            )  # fmt: skip
            return mb.add(x=x, y=mb.mul(x=inner, y=np.float32(0.1)))

        return mb.while_loop(_cond=lambda x: mb.squeeze(x=mb.less(x=x, y=np.float32(10))), _body=outer, loop_vars=(x,))

    x = {"x": np.array([0.0], np.float32)}
    monkeypatch.setattr(control, "MAX_ROUNDS", 110)
    assert run(build, x)[0].tolist() == [10]
    monkeypatch.setattr(control, "MAX_ROUNDS", 109)
    with pytest.raises(InputError, match="has not ended after 109 rounds"):
        run(build, x)


def test_a_loop_that_changes_nothing_is_named_soon() -> None:
    def build(x):
        return mb.while_loop(
            _cond=lambda x: mb.squeeze(x=mb.greater(x=x, y=np.float32(0))), _body=lambda x: mb.relu(x=x), loop_vars=(x,)
        )

    with pytest.raises(InputError, match="never ends: in round 1000 its values no longer change"):
        run(build, {"x": np.array([1.0], np.float32)})


def test_a_loop_that_waits_for_chance_goes_on() -> None:
    """Its value is the same for thousands of rounds."""

    def build(x):
        def drawn(x):
            return mb.random_bernoulli(shape=[1], prob=np.float32(3e-4))

        return mb.while_loop(_cond=lambda x: mb.squeeze(x=mb.less(x=x, y=np.float32(0.5))), _body=drawn, loop_vars=(x,))

    torch.manual_seed(1)
    assert run(build, {"x": np.array([0.0], np.float32)})[0].tolist() == [1]


def test_a_list_that_a_loop_writes_and_gathers() -> None:
    def build(count, x):
        rows = mb.make_list(init_length=1, elem_shape=(2,))

        def body(i, rows):
            row = mb.mul(x=x, y=mb.cast(x=i, dtype="fp32"))
            return mb.add(x=i, y=1), mb.list_write(ls=rows, index=i, value=row)

        _, rows = mb.while_loop(
            _cond=lambda i, rows: mb.less(x=i, y=mb.squeeze(x=count)), _body=body, loop_vars=(0, rows)
        )
        length = mb.list_length(ls=rows)
        return mb.list_gather(ls=rows, indices=mb.range_1d(start=0, end=length, step=1))

    inputs = {"count": np.array([4], np.int32), "x": np.array([1.0, 2.0], np.float32)}
    assert run(build, inputs)[0].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]


def test_an_old_version_of_a_list_stays_what_it_was() -> None:
    def build(a, b):
        empty = mb.make_list(init_length=2, elem_shape=(2,))
        one = mb.list_write(ls=empty, index=1, value=a)
        long = mb.list_write(ls=one, index=3, value=b)
        other = mb.list_scatter(ls=one, indices=[0, 1], value=np.array([[7, 7], [8, 8]], np.float32))
        lists = (empty, one, long, other, one, empty)
        lengths = [mb.expand_dims(x=mb.list_length(ls=ls), axes=[0]) for ls in lists]
        second = [mb.list_read(ls=ls, index=1) for ls in lists]
        return (*second, mb.list_gather(ls=long, indices=[3, 2, 1]), mb.concat(values=lengths, axis=0))

    *second, gathered, lengths = run(build, {"a": np.array([1, 2], np.float32), "b": np.array([3, 4], np.float32)})
    assert [value.tolist() for value in second] == [[0, 0], [1, 2], [1, 2], [8, 8], [1, 2], [0, 0]]
    assert gathered.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert lengths.tolist() == [2, 2, 4, 2, 2, 2]


def test_many_versions_of_a_list_against_plain_copies() -> None:
    """Writes to any version in any order, compared with lists that are copied each time."""
    pick = np.random.default_rng(0)
    versions = [(make_list(3, True, [1]), [0.0, 0.0, 0.0])]
    for number in range(300):
        ls, plain = versions[int(pick.integers(len(versions)))]
        place = int(pick.integers(len(plain) + 2))
        copy = [*plain, *[0.0] * (place + 1 - len(plain))]
        copy[place] = number
        versions.append((list_write(ls, place, torch.tensor([float(number)])), copy))
        ls, plain = versions[int(pick.integers(len(versions)))]
        assert [float(ls.read(n)) for n in range(len(plain))] == plain and len(ls.held()) == len(plain)


def test_a_write_takes_no_longer_for_a_long_list() -> None:
    """A copy of 200,000 places for each of 20,000 writes would take minutes."""
    value = torch.zeros(1)
    ls = list_write(make_list(1, True, [1]), 200_000, value)
    start = time.perf_counter()
    for place in range(20_000):
        ls = list_write(ls, place, value)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("index", "words"), [(5, "the place 5 of a list of 2, which keeps its length"), (-1, "the place -1")]
)
def test_a_place_that_a_list_does_not_have_is_named(index: int, words: str) -> None:
    def build(i, x):
        ls = mb.make_list(init_length=2, dynamic_length=False, elem_shape=(1,))
        return mb.list_read(ls=mb.list_write(ls=ls, index=mb.squeeze(x=i), value=x), index=0)

    with pytest.raises(InputError, match=f"list_write .*{words}"):
        run(build, {"i": np.array([index], np.int32), "x": np.zeros(1, np.float32)})


def test_a_list_of_elements_whose_size_is_known_when_the_program_runs() -> None:
    def build(x):
        ls = mb.make_list(init_length=2, elem_shape=("any", 2), dtype="fp32")
        ls = mb.list_write(ls=ls, index=1, value=x)
        return mb.list_read(ls=ls, index=0), mb.list_read(ls=ls, index=1)

    first, second = run(build, {"x": np.ones((3, 2), np.float32)})
    assert first.tolist() == [[0, 0]] * 3 and second.tolist() == [[1, 1]] * 3


def test_a_value_of_the_wrong_kind_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """A list where a tensor belongs, in a block of a block."""

    def build(flag, x):
        rows = mb.make_list(init_length=2, elem_shape=(1,))

        def branch():
            return mb.add(x=x, y=mb.list_read(ls=rows, index=0))

        return mb.cond(pred=flagged(flag), _true_fn=branch, _false_fn=lambda: mb.identity(x=x))

    path = saved(build, {"flag": FLAG[True], "x": np.zeros(1, np.float32)}, tmp_path)
    spec = coreml.load(path).get_spec()
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    control_op = next(op for op in block.operations if op.type == "cond")
    inside = control_op.blocks[0]
    reading = next(op for op in inside.operations if op.type == "list_read")
    adding = next(op for op in inside.operations if op.type == "add")
    adding.inputs["y"].arguments[0].name = reading.inputs["ls"].arguments[0].name
    (path / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(InputError, match=r"in cond \(.*\), add .*: its y is .*, a list, expected a tensor"):
        coreml.load(path)
    del control_op.blocks[1]
    (path / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(InputError, match=r"cond \(.*\) holds 1 blocks, expected 2"):
        coreml.load(path)


def test_types_of_a_list_are_kept() -> None:
    def build(x):
        ls = mb.make_list(init_length=1, elem_shape=(2,), dtype="int32")
        return mb.list_read(ls=mb.list_write(ls=ls, index=0, value=mb.cast(x=x, dtype="int32")), index=0)

    (result,) = run(build, {"x": np.array([1.7, -2.2], np.float32)})
    assert result.dtype == np.int32 and result.tolist() == [1, -2]
