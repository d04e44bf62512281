"""States: what a model keeps between predictions, and whose it is."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types
from torch import nn

from edge.errors import InputError
from edge.runtimes import coreml

IOS18 = ct.target.iOS18
STEPS, VOCABULARY, WIDTH = 64, 11, 16
CACHES = ("k0", "v0", "k1", "v1")


def saved(program, path: Path, precision=ct.precision.FLOAT32) -> Path:
    ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=IOS18,
        compute_precision=precision,
        skip_model_load=True,
    ).save(str(path))
    return path


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> coreml.CoreMLModel:
    """Adds its input to what it has, twice in one prediction, and gives the last sum."""

    @mb.program(
        input_specs=[mb.StateTensorSpec((2,), dtype=types.fp16), mb.TensorSpec((2,), dtype=types.fp16)],
        opset_version=IOS18,
    )
    def program(total, x):
        once = mb.coreml_update_state(state=total, value=mb.add(x=mb.read_state(input=total), y=x))
        mb.coreml_update_state(state=total, value=mb.add(x=once, y=x))
        return mb.read_state(input=total)

    folder = tmp_path_factory.mktemp("sums")
    return coreml.load(saved(program, folder / "sums.mlpackage", ct.precision.FLOAT16))


X = {"x": np.array([1.5, -3], np.float16)}


def answer(model: coreml.CoreMLModel, state: coreml.MLState) -> list[float]:
    return next(iter(model.predict(X, state).values())).tolist()


def test_two_states_of_one_model_do_not_mix(sums) -> None:
    first, second = sums.make_state(), sums.make_state()
    assert answer(sums, first) == [3, -6]
    assert answer(sums, first) == [6, -12]
    assert answer(sums, second) == [3, -6]
    assert answer(sums, first) == [9, -18]
    assert first.read_state("total").tolist() == [9, -18] and second.read_state("total").tolist() == [3, -6]


def test_what_is_read_and_written_is_a_copy_in_the_states_own_type(sums) -> None:
    state = sums.make_state()
    mine = np.array([0.1, 70.0])
    state.write_state("total", mine)
    mine[:] = 0
    held = state.read_state("total")
    assert held.dtype == np.float16 and held.tolist() == np.array([0.1, 70.0], np.float16).tolist()
    held[:] = 0
    out = next(iter(sums.predict(X, state).values()))
    np.testing.assert_array_equal(out, np.array([0.1, 70], np.float16) + 2 * X["x"])
    out[:] = 0
    assert state.read_state("total")[1] == 64


def test_a_failed_prediction_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    @mb.program(
        input_specs=[mb.StateTensorSpec((3,), dtype=types.fp16), mb.TensorSpec((1,), dtype=types.int32)],
        opset_version=IOS18,
    )
    def program(kept, place):
        written = mb.coreml_update_state(state=kept, value=mb.fill(shape=[3], value=np.float16(5)))
        return mb.gather(x=written, indices=place, axis=0, validate_indices=True)

    model = coreml.load(saved(program, tmp_path / "gather.mlpackage", ct.precision.FLOAT16))
    state = model.make_state()
    with pytest.raises(InputError, match="gather"):
        model.predict({"place": np.array([7], np.int32)}, state)
    assert state.read_state("kept").tolist() == [0, 0, 0]
    model.predict({"place": np.array([1], np.int32)}, state)
    assert state.read_state("kept").tolist() == [5, 5, 5]


def test_a_state_goes_with_its_own_model(sums, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"keeps states \(total\): .*make_state"):
        sums.predict(X)
    with pytest.raises(InputError, match=r"it holds nothing, the model keeps total \(float16, \(2,\)\)"):
        sums.predict(X, coreml.MLState(()))
    with pytest.raises(InputError, match="not with a list"):
        sums.predict([X, X], sums.make_state())
    with pytest.raises(InputError, match="no state nobody; its states are total"):
        sums.make_state().read_state("nobody")
    with pytest.raises(InputError, match=r"takes numbers of shape \(2,\), got float64 of shape \(3,\)"):
        sums.make_state().write_state("total", np.zeros(3))

    @mb.program(input_specs=[mb.TensorSpec((2,))], opset_version=IOS18)
    def plain(x):
        return mb.relu(x=x)

    model = coreml.load(saved(plain, tmp_path / "plain.mlpackage"))
    with pytest.raises(InputError, match="not of this model"):
        model.predict({"x": np.zeros(2, np.float32)}, sums.make_state())
    empty = model.make_state()  # Core ML gives one too, and takes it
    assert next(iter(model.predict({"x": np.array([-1, 2], np.float32)}, empty).values())).tolist() == [0, 2]
    with pytest.raises(InputError, match="no state nobody; its states are none"):
        empty.read_state("nobody")


def test_two_functions_of_a_package_share_a_state(tmp_path: Path) -> None:
    """As language models do: one function reads the prompt into the cache, the other takes token by token."""
    both = ct.utils.MultiFunctionDescriptor()
    for name, rows in (("prompt", 3), ("token", 1)):

        @mb.program(
            input_specs=[mb.StateTensorSpec((2,), dtype=types.fp16), mb.TensorSpec((rows, 2), dtype=types.fp16)],
            opset_version=IOS18,
        )
        def program(total, x):
            sums = mb.add(x=mb.read_state(input=total), y=mb.reduce_sum(x=x, axes=[0]))
            return mb.identity(x=mb.coreml_update_state(state=total, value=sums), name="sums")

        path = saved(program, tmp_path / f"{name}.mlpackage", ct.precision.FLOAT16)
        both.add_function(str(path), src_function_name="main", target_function_name=name)
    both.default_function_name = "prompt"
    ct.utils.save_multifunction(both, str(tmp_path / "both.mlpackage"))
    prompt, token = (coreml.load(tmp_path / "both.mlpackage", function_name=name) for name in ("prompt", "token"))
    state = prompt.make_state()
    rows = np.arange(10, dtype=np.float16).reshape(5, 2)
    prompt.predict({"x": rows[:3]}, state)
    for number in (3, 4):
        (answer,) = token.predict({"x": rows[number : number + 1]}, state).values()
        assert answer.tolist() == rows[: number + 1].sum(0).tolist()
    assert state.read_state("total").tolist() == rows.sum(0).tolist()


class Layer(nn.Module):
    """Attention over all tokens so far, whose keys and values lie in the caches, then two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.norm, self.wide, self.narrow = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH)

    def forward(self, x, mask, keys, values):
        until = mask.shape[-1]
        since = until - x.shape[1]
        keys[:, since:until, :] = self.k(x)
        values[:, since:until, :] = self.v(x)
        scores = self.q(x) @ keys[:, :until].transpose(1, 2) / WIDTH**0.5 + mask
        x = x + scores.softmax(-1) @ values[:, :until]
        return x + self.narrow(nn.functional.gelu(self.wide(self.norm(x))))


class Transformer(nn.Module):
    """A language model of two layers, with one key and one value cache each, as coremltools' guide builds them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.first, self.second, self.head = Layer(), Layer(), nn.Linear(WIDTH, VOCABULARY)
        for name in CACHES:
            self.register_buffer(name, torch.zeros(1, STEPS, WIDTH))

    def forward(self, tokens, mask):
        x = self.first(self.embedding(tokens), mask, self.k0, self.v0)
        return self.head(self.second(x, mask, self.k1, self.v1))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize(
    "half", [pytest.param(False, marks=pytest.mark.slow(reason="a second conversion of the same network")), True]
)
def test_a_transformer_with_a_key_value_cache_equals_torch_step_by_step(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    net = Transformer().eval()
    shape = (1, STEPS, WIDTH)
    kind = np.float16 if half else np.float32
    traced = torch.jit.trace(net, (torch.zeros(1, 2, dtype=torch.int32), torch.zeros(1, 2, 5)), check_trace=False)
    query, end = ct.RangeDim(1, STEPS, 1), ct.RangeDim(1, STEPS, 1)
    package = ct.convert(
        traced,
        inputs=[ct.TensorType("tokens", (1, query), np.int32), ct.TensorType("mask", (1, query, end), kind)],
        outputs=[ct.TensorType("logits", dtype=kind)],
        states=[ct.StateType(ct.TensorType(shape=shape, dtype=np.float16), name) for name in CACHES],
        minimum_deployment_target=IOS18,
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        skip_model_load=True,
    )
    package.save(str(tmp_path / "language.mlpackage"))
    model = coreml.load(tmp_path / "language.mlpackage")

    for name in CACHES:
        getattr(net, name).zero_()  # tracing has run the network
    pick = np.random.default_rng(0)
    state, other = model.make_state(), model.make_state()
    worst, at, step = 0.0, 0, 3  # three tokens first, then one by one
    while at < STEPS:
        tokens = pick.integers(0, VOCABULARY, (1, step)).astype(np.int32)
        mask = np.triu(np.full((1, step, at + step), -1e4, np.float32), at + 1)
        with torch.no_grad():
            right = net(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
        logits = model.predict({"tokens": tokens, "mask": mask.astype(kind)}, state)["logits"]
        model.predict({"tokens": tokens[:, :1], "mask": np.zeros((1, 1, 1), kind)}, other)  # must not disturb
        worst = max(worst, float(np.abs(logits - right).max()))
        at, step = at + step, 1
    assert worst < 5e-3  # the caches are float16, whatever the rest computes in
    np.testing.assert_allclose(state.read_state("k1"), net.k1.detach().numpy(), atol=5e-3)
