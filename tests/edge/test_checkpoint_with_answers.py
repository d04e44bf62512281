"""What answers add lies in the checkpoint, beside any network, and adds nothing at all where nothing is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import dermedge
from edge.answers import encode
from edge.checkpoint import Checkpoint, Preprocess, load, save
from edge.errors import InputError
from edge.files import sha256
from edge.labels import PAD_UFES_20
from edge.models import create_model
from edge.models.deployed import Deployed, reweighted
from edge.nine_questions import QUESTIONS
from edge.questionnaire import Answers, length_of

Q, K, SIDE = length_of(QUESTIONS), len(PAD_UFES_20), 64
GIVEN: Answers = {"age": 47, "region": "nose", "itches": True, "raised": False}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_a_family(model: str, *, temperature: float = 0.7) -> Checkpoint:
    torch.manual_seed(0)
    state = create_model(model, K).state_dict()
    return Checkpoint(model, PAD_UFES_20, Preprocess("area-2", SIDE, (0.5,) * 3, (0.25,) * 3), state, temperature)


class Own(nn.Module):
    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.conv, self.head = nn.Conv2d(3, 8, 5, stride=4), nn.Linear(8, K)

    def forward(self, x: Tensor) -> Tensor:
        logits = 5 * self.head(self.conv(x).relu().mean((2, 3)))
        return logits.softmax(-1) if self.softmax else logits


def wrapped(*, softmax: bool) -> Checkpoint:
    torch.manual_seed(0)
    own = Own(softmax=softmax).eval()
    return dermedge.wrap(own, list(PAD_UFES_20), side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="own")


MAKERS = {
    "hierattn_xs": lambda: of_a_family("hierattn_xs"),
    "resformer_lite": lambda: of_a_family("resformer_lite", temperature=30.0),  # whose random weights give large logits
    "wrapped, logits": lambda: wrapped(softmax=False),
    "wrapped, probabilities": lambda: wrapped(softmax=True),
}


def with_answers(maker: str) -> Checkpoint:
    alone = MAKERS[maker]()
    weight = alone.temperature * torch.randn(K, Q, generator=generator(3))
    return replace(alone, questions=QUESTIONS, answers_weight=weight)


@pytest.fixture(scope="module", params=MAKERS)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return with_answers(request.param)


@pytest.fixture(scope="module", params=["hierattn_xs", "wrapped, logits"])
def each_kind(request: pytest.FixtureRequest) -> Checkpoint:
    """Weights of a known network, and a program."""
    return with_answers(request.param)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, SIDE, SIDE, 3, generator=generator(4)) * 255


def class_part(output: Tensor | tuple[Tensor, ...]) -> np.ndarray:
    return (output[0] if isinstance(output, tuple) else output).detach().double().numpy()


@torch.no_grad()
def test_nothing_answered_is_exactly_the_picture_alone(checkpoint: Checkpoint, image: Tensor) -> None:
    alone = checkpoint.deployed(layout="NHWC")(image)
    both = checkpoint.deployed(layout="NHWC", answers=True)(image, torch.zeros(1, Q))
    for a, b in zip(*((part,) if isinstance(part, Tensor) else part for part in (alone, both)), strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_answers_add_their_log_odds(checkpoint: Checkpoint, image: Tensor) -> None:
    """Against the rule in float64, from the probabilities of the picture alone."""
    alone = class_part(checkpoint.deployed(layout="NHWC")(image))
    vector = encode(GIVEN, QUESTIONS)
    both = class_part(checkpoint.deployed(layout="NHWC", answers=True)(image, torch.from_numpy(vector[None])))
    assert checkpoint.answers_weight is not None
    added = checkpoint.answers_weight.double().numpy() @ vector / checkpoint.temperature
    expected = np.exp(np.log(alone) + added)
    np.testing.assert_allclose(both, expected / expected.sum(), rtol=2e-5, atol=1e-9)
    assert abs(both - alone).max() > 0.05


def test_a_picture_needs_its_answers_and_no_others(checkpoint: Checkpoint, image: Tensor) -> None:
    with pytest.raises(ValueError, match="a picture and answers"):
        checkpoint.deployed(layout="NHWC", answers=True)(image)
    with pytest.raises(ValueError, match="a picture alone"):
        checkpoint.deployed(layout="NHWC")(image, torch.zeros(1, Q))
    with pytest.raises(InputError, match="takes no answers"):
        replace(checkpoint, questions=(), answers_weight=None).deployed(layout="NHWC", answers=True)


def test_it_comes_back_bit_for_bit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "a")
    back = load(tmp_path / "a.json")
    assert back.questions == QUESTIONS and torch.equal(back.answers_weight, checkpoint.answers_weight)  # type: ignore[arg-type]
    assert back.state.keys() == checkpoint.state.keys()
    facts = json.loads((tmp_path / "a.json").read_text())
    assert facts["schema"] == f"dermedge/checkpoint{'-program' if checkpoint.program else ''}/2"
    save(replace(checkpoint, questions=(), answers_weight=None), tmp_path / "b")
    facts = json.loads((tmp_path / "b.json").read_text())
    assert facts["schema"].endswith("/1") and "questions" not in facts and "answers_weight" not in facts
    assert load(tmp_path / "b.json").answers_weight is None


def test_no_network_has_a_tensor_of_that_name(checkpoint: Checkpoint) -> None:
    assert not any(name.startswith("answers.") for name in checkpoint.state)


def test_probabilities_that_add_up_to_almost_1_stay_as_they_are() -> None:
    """In float32 a softmax may give 0.99999994: dividing by the sum would move them."""
    probabilities = torch.softmax(torch.randn(2000, K, generator=generator(5)), dim=-1)
    assert bool((probabilities.sum(-1) != 1).any())
    assert torch.equal(reweighted(probabilities, torch.zeros(2000, K)), probabilities)


def test_a_network_of_probabilities_survives_large_log_odds() -> None:
    module = Deployed(nn.Flatten(), mean=(0,) * 3, std=(1,) * 3, temperature=1.0, layout="NCHW", gives="probabilities",
                      answers=torch.tensor([[900.0], [0.0], [-900.0]]))  # fmt: skip
    picture = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1) * 255
    given = module(picture, torch.ones(1, 1))
    torch.testing.assert_close(given, torch.tensor([[1.0, 0.0, 0.0]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("against", [120.0, 1e4])
def test_a_sure_picture_and_answers_against_it_leave_probabilities(against: float) -> None:
    """In float64, of a picture as sure as float32 can say: the odds of what is 0 stay 0, whatever is answered."""
    sure = torch.tensor([[1.0, 0.0, 0.0], [1 - 1e-6, 1e-6, 0.0]])
    log_odds = torch.tensor([[-against, 0.0, 0.0]]).expand(2, 3)
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(reweighted(sure, log_odds), wanted, rtol=0, atol=1e-6)


def rewrite(tmp_path: Path, checkpoint: Checkpoint, weight: Any, **facts: Any) -> Path:
    """The checkpoint with another tensor or other facts, and hashes that fit."""
    save(checkpoint, tmp_path / "a")
    described = json.loads((tmp_path / "a.json").read_text())
    if checkpoint.program:
        described["answers_weight"] = weight.tolist() if isinstance(weight, Tensor) else weight
    else:
        tensors = load_file(tmp_path / "a.safetensors")
        del tensors["answers.weight"]
        save_file(tensors | ({"answers.weight": weight} if weight is not None else {}), tmp_path / "a.safetensors")
        described["weights"]["sha256"] = sha256(tmp_path / "a.safetensors")
    (tmp_path / "a.json").write_text(json.dumps({**described, **facts}))
    return tmp_path / "a.json"


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (None, "expected questions, and what their answers add as 6 x 33 numbers"),
        (torch.zeros(K, Q - 1), "6 x 33 numbers"),
        (torch.zeros(Q, K), "6 x 33 numbers"),
        (torch.zeros(K, Q, dtype=torch.int64), "6 x 33 numbers"),
        (torch.full((K, Q), float("nan")), "NaN or beyond 100"),
        (torch.full((K, Q), 1000.0), "NaN or beyond 100"),
    ],
)
def test_damaged_weights_are_refused(each_kind: Checkpoint, tmp_path: Path, weight: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load(rewrite(tmp_path, each_kind, weight))
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("questions", [None, [], "age", [{"id": "age"}]])
def test_damaged_questions_are_refused(each_kind: Checkpoint, tmp_path: Path, questions: Any) -> None:
    with pytest.raises(InputError, match="questions"):
        load(rewrite(tmp_path, each_kind, torch.zeros(K, Q), questions=questions))


@pytest.mark.parametrize("weight", ["many", [[1.0] * Q] * (K - 1), [[1.0] * Q, [1.0]], [["x"] * Q] * K, {}, 10**400])
def test_damaged_numbers_of_a_program_are_refused(tmp_path: Path, weight: Any) -> None:
    own = replace(wrapped(softmax=False), questions=QUESTIONS, answers_weight=torch.zeros(K, Q))
    with pytest.raises(InputError, match="6 x 33 numbers"):
        load(rewrite(tmp_path, own, weight))


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    own = replace(of_a_family("hierattn_xs"), questions=QUESTIONS, answers_weight=torch.zeros(K, Q))
    weight = load(rewrite(tmp_path, own, torch.full((K, Q), 0.5, dtype=torch.float16))).answers_weight
    assert weight is not None and weight.dtype == torch.float32 and bool((weight == 0.5).all())
