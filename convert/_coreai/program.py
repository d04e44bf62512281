"""Checkpoint -> Core AI program through torch.export: the bytes of an image in, probabilities out, or a mask, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge.checkpoint import Checkpoint
from edge.manifest import INTENDED_USE, Manifest
from edge.models.deployed import OUTPUTS, Deployed, class_and_mask
from edge.runtimes.coreai import ANSWERS, ENTRY, INPUT

from .._graph.graph import results, trace
from .._graph.passes import CORE_AI_PASSES, HALF_PASSES, rewrite


class FromBytes(nn.Module):
    """uint8 (1, S, S, 3) RGB -> probabilities, float32 (1, K), and of some networks a mask, float32 (1, S, S, 1).

    A network with the second input takes `answers`, float32 (1, Q), behind the picture.
    """

    def __init__(self, net: Deployed) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, *answers: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.net(image.to(torch.float32), *answers)


class Halved(nn.Module):
    """A network in half precision between float32 ends: normalisation, the final softmax and the mask's sigmoid."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.half()

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits, mask = class_and_mask(self.net(image.half()))
        return logits.float() if mask is None else (logits.float(), mask.float())


def rewritten(checkpoint: Checkpoint, *, half: bool) -> fx.GraphModule:
    """The checkpoint's network after all passes: (1, 3, S, S), normalised -> logits."""
    side = checkpoint.preprocess.side
    traced = trace(checkpoint.network(), torch.zeros(1, 3, side, side))
    return rewrite(traced, HALF_PASSES if half else CORE_AI_PASSES)[0]


def float_program(checkpoint: Checkpoint, precision: str, *, answers: bool = False) -> Any:
    """An AIProgram of the checkpoint; `precision` is `fp32` or `fp16`. With `answers` it has the second input, and
    what is answered is added in float32."""
    from coreai_torch import TorchConverter, get_decomp_table

    pre = checkpoint.preprocess
    half = precision == "fp16"
    net = rewritten(checkpoint, half=half)
    weight = checkpoint.answers_weight if answers else None
    module = Deployed(
        Halved(net) if half else net, mean=pre.mean, std=pre.std, temperature=checkpoint.temperature, layout="NHWC",
        gives=checkpoint.gives, answers=weight,
    )  # fmt: skip
    example = [torch.zeros(1, pre.side, pre.side, 3, dtype=torch.uint8)]
    example += [] if weight is None else [torch.zeros(1, weight.shape[1])]
    program = torch.export.export(FromBytes(module), tuple(example)).run_decompositions(get_decomp_table())
    # the other mode writes the place in our sources of every operation into the file
    converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
    names = list(OUTPUTS[: len(results(net))])
    converter.add_exported_program(
        program, input_names=[INPUT, ANSWERS][: len(example)], output_names=names, entrypoint_name=ENTRY
    )
    return converter.to_coreai()


def save(program: Any, target: Path, manifest: Manifest, recipe: str, *, answers: bool = False) -> None:
    """Write the asset with the manifest's facts in its metadata; with `answers` those of the second input, too."""
    from coreai.runtime import AIModelAssetMetadata

    facts = AIModelAssetMetadata()
    facts.author = "dermedge"
    facts.license = "Apache-2.0 (model); training data: see dermedge.training"
    facts.model_description = (
        f"{manifest.model} ({recipe}): RGB photograph of a skin lesion -> class probabilities. {INTENDED_USE}"
    )
    inside = manifest.facts_inside(answers=answers)
    for key, value in sorted(inside.items(), key=lambda item: item[0] == "mask"):  # the mask last
        facts.set_custom(f"dermedge.{key}", value if isinstance(value, str) else json.dumps(value))  # it takes no null
    facts.set_custom("dermedge.recipe", recipe)
    program.save_asset(target, facts)
