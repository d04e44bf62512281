"""A network that dermedge did not write, with the output that the rest of dermedge expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge.errors import InputError
from edge.models.kept_state import read_state

TRIALS = 4  # random pictures that tell what a network returns
SUM_TOLERANCE = 1e-3  # of probabilities
SIGMOIDS = {"sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"}  # of ATen
# operations that hand on values as they are, in another shape or place
HANDING_ON = {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "clone", "contiguous", "to", "_to_copy",
    "permute", "transpose", "select", "slice", "expand", "alias", "detach", "cat", "stack", "concat",
}  # fmt: skip


class Foreign(nn.Module):
    """RGB (N, 3, S, S), normalised -> class scores (N, K), or (scores, mask logits (N, 1, S, S)).

    Takes what a network returns as it is: a tensor, an object or a dict with `logits`, or a tuple, of which the first
    tensor with two axes are the scores and the first with four a mask.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        scores, mask = scores_and_mask(self.net(images))
        return scores if mask is None else (scores, mask)


def scores_and_mask(output: Any) -> tuple[Tensor, Tensor | None]:
    """The class scores (N, K) in whatever a network returned, and its mask logits (N, 1, S, S) where there are some."""
    if isinstance(output, dict) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    if isinstance(output, Tensor):
        return output, None
    if isinstance(output, tuple | list):
        tensors = [part for part in output if isinstance(part, Tensor)]
        scores = next((part for part in tensors if part.ndim == 2), None)
        mask = next((part for part in tensors if part.ndim == 4 and part.shape[1] == 1), None)
        if scores is not None:
            return scores, mask
    raise InputError(
        f"the network returns {type(output).__name__}; expected class scores (N, K) as a tensor, as `.logits` of an "
        "object, or as the first tensor with two axes of a tuple"
    )


@dataclass(frozen=True)
class Returned:
    """What a network gave for random pictures."""

    classes: int
    gives: str  # "logits" or "probabilities"


@torch.no_grad()
def tried_out(net: Foreign, side: int) -> Returned:
    """Run a network on random normalised pictures (1, 3, side, side); InputError where it is no steady classifier.

    A steady one gives one picture the same scores whatever it saw before, and different pictures different ones.
    """
    pictures = torch.randn(TRIALS, 3, side, side, generator=torch.Generator().manual_seed(0))
    scores = torch.cat([scores_of(net, picture[None]) for picture in pictures])
    if not bool(scores.isfinite().all()):
        raise InputError("the network gives NaN or infinity for a random picture; its weights are damaged")
    if not torch.equal(scores_of(net, pictures[:1]), scores[:1]):
        raise InputError(
            "the network gives one picture other scores the second time: it draws random numbers, as dropout does, or "
            "keeps a state of its own; make it answer alike every time"
        )
    state = read_state(net, lambda: scores_of(net, pictures[:1]))
    if state is not None:
        raise InputError(
            f"the network keeps {state} from one picture to the next and answers by it, and a file keeps nothing; make "
            "it answer from the picture and its weights alone"
        )
    if bool((scores == scores[:1]).all()):
        raise InputError(
            f"the network gives {TRIALS} different pictures the same scores; expected a classifier of pictures"
        )
    within = bool(((scores >= 0) & (scores <= 1)).all())
    whole = bool(((scores.sum(dim=1) - 1).abs() < SUM_TOLERANCE).all())
    gives = "probabilities" if within and whole else "logits"
    return Returned(scores.shape[1], gives)


def ends_in_sigmoid(program: nn.Module) -> bool:
    """Whether every score of an exported program (`edge.program.from_bytes`) comes out of a sigmoid.

    The program is asked and not its scores: small logits lie within 0..1 as well.
    """
    graph: fx.Graph = program.graph.graph  # type: ignore[union-attr, assignment]
    output = next(node for node in graph.nodes if node.op == "output")
    returned = [node for node in output.all_input_nodes if isinstance(node.meta.get("val"), Tensor)]
    waiting = [node for node in returned if node.meta["val"].ndim == 2][:1]
    if not waiting:
        return False
    while waiting:
        node = waiting.pop()
        name = node.target._schema.name.removeprefix("aten::") if hasattr(node.target, "_schema") else ""
        if name in SIGMOIDS:
            continue
        if name not in HANDING_ON:
            return False
        waiting += node.all_input_nodes
    return True


def scores_of(net: Foreign, picture: Tensor) -> Tensor:
    """Class scores, float (1, K), of one picture; InputError for anything else that a network does or gives."""
    side = picture.shape[-1]
    try:
        output = net(picture.clone())  # which the network may change in place
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's forward pass does
        first = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise InputError(
            f"the network does not take float32 (1, 3, {side}, {side}): {type(error).__name__}: {first}"
        ) from error
    scores = output[0] if isinstance(output, tuple) else output
    if scores.ndim != 2 or scores.shape[0] != 1 or scores.layout is not torch.strided:
        raise InputError(f"the network gives {tuple(scores.shape)} for one picture; expected class scores (1, K)")
    if not scores.is_floating_point():
        raise InputError(f"the network gives {scores.dtype}; expected class scores in floating point, not classes")
    if isinstance(output, tuple) and tuple(output[1].shape) != (1, 1, side, side):
        raise InputError(f"the network's mask is {tuple(output[1].shape)}; expected mask logits (1, 1, {side}, {side})")
    return scores.float()
