"""Checkpoint -> Core ML package through torch.export: image in, class label and probabilities out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.checkpoint import Checkpoint
from edge.manifest import INTENDED_USE, Manifest
from edge.models.deployed import OUTPUTS
from edge.scheme import Layer

from .._graph.graph import trace
from .._graph.passes import NEURAL_ENGINE_PASSES, rewrite
from .._graph.take_apart import take_apart
from .._resize_names import is_matrix
from .layers import Weighted

if TYPE_CHECKING:
    from torch import Tensor, fx

INPUT, LABEL = "image", "classLabel"
METADATA = "dermedge."  # begins our keys
# What Xcode shows of a file with a mask: the user guide of coremltools, "Xcode Model Preview Types"; colours are RGB.
PREVIEW_TYPE, PREVIEW_PARAMETERS = "com.apple.coreml.model.preview.type", "com.apple.coreml.model.preview.parameters"
PREVIEW = {"labels": ["skin", "lesion"], "colors": ["#000000", "#ff3b30"]}
PROBABILITIES, MASK = OUTPUTS
INNER = "class_probabilities"  # what the classifier reads; a block must not have the name of its result twice
DEBUG_MAP = "executorch_debug_handle_mapping.json"  # 0.16 MB in the package that no runtime reads
PALETTE_BITS = {1, 2, 4, 6, 8}  # of an index, in iOS 16 and 17
SMALL_TABLE = 4  # bits; from 6 on a table costs as much as it saves
DIVIDE_TO_MULTIPLY = "common::divide_to_multiply"  # of coremltools
REDUCE_TRANSPOSES = "common::reduce_transposes"  # a pass of coremltools
SMALLEST_QUANTISED = 512  # elements; below, the scales cost as much as the weights save


def rewritten(checkpoint: Checkpoint) -> fx.GraphModule:
    """The checkpoint's network after all passes: (1, 3, S, S), 0..255 -> probabilities (1, K).

    Raises InputError that names the place where the network cannot be traced.
    """
    graph, _ = rewrite(trace(checkpoint.deployed(layout="NCHW"), example_of(checkpoint)), NEURAL_ENGINE_PASSES)
    return graph


def lowered(checkpoint: Checkpoint) -> tuple[fx.GraphModule, Any, Any]:
    """The rewritten network, torch.export's program of it and the float32 MLModel.

    What coremltools gives up at is taken apart as torch does; where that does not help, it is refused.
    """
    from .refusals import NotTaken

    graph, program = taken_to_parts(checkpoint, rewritten(checkpoint))
    first: NotTaken | None = None
    tried: set[object] = set()
    while True:
        try:
            return graph, program, float_program(checkpoint, program, "fp32")
        except NotTaken as refusal:
            first = first or refusal  # names what the author wrote, not a part of it
            target = refusal.node.target
            smaller = None if target in tried else without(checkpoint, graph, program, target)
            if smaller is None:
                raise first from refusal
            tried.add(target)
            graph, program = smaller


def exported(checkpoint: Checkpoint, graph: fx.GraphModule):
    """torch.export's program of a rewritten network, for one image; what coremltools has nothing for as its parts."""
    return taken_to_parts(checkpoint, graph)[1]


def taken_to_parts(checkpoint: Checkpoint, graph: fx.GraphModule) -> tuple[fx.GraphModule, Any]:
    """The graph and its program without operations that coremltools has nothing for, as far as torch has parts."""
    program = exported_as_it_is(checkpoint, graph)
    for target in sorted(unknown_to_coremltools(program), key=str):
        smaller = without(checkpoint, graph, program, target)
        if smaller:
            graph, program = smaller
    return graph, program


def without(
    checkpoint: Checkpoint, graph: fx.GraphModule, program: Any, target: object
) -> tuple[fx.GraphModule, Any] | None:
    """The graph and its program with the parts of an operation in its place.

    None where there are none, or where coremltools has nothing for one: the refusal then names what the author wrote.
    """
    others = unknown_to_coremltools(program) - {target}
    targets, tried = {target}, set[object]()
    while targets:
        graph, apart = take_apart(graph, targets)
        if not apart:
            return None
        tried |= targets
        graph, _ = rewrite(graph, NEURAL_ENGINE_PASSES)
        program = exported_as_it_is(checkpoint, graph)
        unknown = unknown_to_coremltools(program) - others
        if unknown & tried:
            return None
        targets = unknown
    return graph, program


def exported_as_it_is(checkpoint: Checkpoint, graph: fx.GraphModule):
    import torch

    return torch.export.export(graph, (example_of(checkpoint),)).run_decompositions({})


def unknown_to_coremltools(program) -> set[object]:
    """The operations of the program that coremltools has no reader for."""
    import torch
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as readers
    from coremltools.converters.mil.frontend.torch.utils import sanitize_op_kind

    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return {
        target
        for target in targets
        if isinstance(target, torch._ops.OpOverload) and sanitize_op_kind(target.name()) not in readers
    }


def example_of(checkpoint: Checkpoint) -> Tensor:
    import torch

    side = checkpoint.preprocess.side
    return torch.zeros(1, 3, side, side)


def multiplies_itself(program) -> bool:
    """Whether a product is of one tensor and its transpose: coremltools 9.0 then moves both transposes away."""
    import torch

    aten = torch.ops.aten
    rearranged = {
        aten.permute.default, aten.transpose.int, aten.t.default, aten.view.default, aten.reshape.default,
        aten._unsafe_view.default, aten.flatten.using_ints, aten.unsqueeze.default, aten.squeeze.default,
        aten.squeeze.dim, aten.squeeze.dims, aten.expand.default, aten.clone.default,
    }  # fmt: skip
    products = {aten.bmm.default, aten.mm.default, aten.matmul.default, aten.einsum.default}

    def source(node):
        while node.op == "call_function" and node.target in rearranged:
            node = node.args[0]
        return node

    calls = [node for node in program.graph.nodes if node.op == "call_function" and node.target in products]
    return any(len({source(factor) for factor in node.all_input_nodes}) == 1 for node in calls)


def has_steps(program) -> bool:
    """Whether numbers are rounded or compared: in float32 49 times 1 / 49 is less than 1, and 49 / 49 is not."""
    import torch

    aten = torch.ops.aten
    steps = {
        aten.floor, aten.ceil, aten.round, aten.trunc, aten.sign, aten.frac, aten.floor_divide, aten.remainder,
        aten.fmod, aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge, aten.argmax, aten.argmin, aten.to,
        aten._to_copy,
    }  # fmt: skip
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return any(getattr(target, "overloadpacket", None) in steps for target in targets)


def float_program(
    checkpoint: Checkpoint,
    program,
    precision: str,
    *,
    ios: int = 16,
    float32: frozenset[str] = frozenset(),
    layers: Sequence[Layer] = (),
    places: Sequence[Weighted] = (),
):
    """An MLModel of an exported program; `precision` is `fp32` or `fp16` (the final softmax and what gives a mask stay
    float32, and so do the operations whose results are named in `float32`).

    With `layers`, their activations are in 8 bits: Apple's passes put a quantize and a dequantize in front of and
    behind them, with the ranges given. That takes iOS 17, and `places`, the layers of that very program before.
    Raises InputError with the operation, its arguments and its module where coremltools does not take one.
    """
    import coremltools as ct

    from . import gelu as _coreml_gelu  # noqa: F401  (its import corrects a reader of coremltools)
    from .outputs import with_outputs
    from .refusals import converted

    side = checkpoint.preprocess.side
    outputs = [ct.TensorType(name=INNER), ct.TensorType(name=MASK, dtype=np.float32)]
    outputs = outputs[: len(program.graph_signature.user_outputs)]
    pipeline = with_8bit_activations(layers, places) if layers else ct.PassPipeline.DEFAULT
    if multiplies_itself(program):
        pipeline.remove_passes({REDUCE_TRANSPOSES})
    if has_steps(program):
        pipeline.remove_passes({DIVIDE_TO_MULTIPLY})
    half = ct.transform.FP16ComputePrecision(op_selector=lambda op: in_half(op, float32))
    model = converted(
        program,
        inputs=[ct.ImageType(name=INPUT, shape=(1, 3, side, side), color_layout=ct.colorlayout.RGB)],
        outputs=outputs,
        classifier_config=ct.ClassifierConfig(
            [label.code for label in checkpoint.labels], predicted_probabilities_output=INNER
        ),
        minimum_deployment_target={16: ct.target.iOS16, 17: ct.target.iOS17}[ios],
        compute_precision=ct.precision.FLOAT32 if precision == "fp32" else half,
        pass_pipeline=with_outputs(pipeline, len(outputs)),
        skip_model_load=True,
    )
    spec = model.get_spec()
    ct.utils.rename_feature(spec, spec.description.predictedProbabilitiesName, PROBABILITIES)
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def with_8bit_activations(layers: Sequence[Layer], places: Sequence[Weighted]):
    """The default passes, followed by those that quantise the activations of `layers`."""
    import coremltools as ct
    import coremltools.optimize as cto

    by_tensor = {place.operation.outputs[0].name: place for place in places}
    ends = {"prefix": [(by_tensor[layer.tensor], layer) for layer in layers if layer.kind in {"input", "static"}],
            "suffix": [(by_tensor[layer.tensor], layer) for layer in layers if layer.kind == "static"]}  # fmt: skip
    ranges = [(place.input, layer.input) for place, layer in ends["prefix"]]
    ranges += [(place.output or "", layer.output) for place, layer in ends["suffix"]]
    statistics = {name: {"rmin": pair[0], "rmax": pair[1]} for name, pair in ranges if pair}
    affine = cto.coreml.OpLinearQuantizerConfig(mode="linear")
    pipeline = ct.PassPipeline.DEFAULT
    for end, chosen in ends.items():
        name = f"compression::insert_{end}_quantize_dequantize_pair"
        config = cto.coreml.OptimizationConfig(op_name_configs={place.operation.name: affine for place, _ in chosen})
        pipeline.append_pass(name)
        pipeline.set_options(name, {"config": config, "activation_stats": statistics})
    pipeline.append_pass("common::dequantize_quantize_pair_elimination")
    return pipeline


def in_half(op, float32: frozenset[str]) -> bool:
    last = any(output in op.enclosing_block.outputs for output in op.outputs)
    return not is_final_softmax(op) and not last and not any(output.name in float32 for output in op.outputs)


def is_final_softmax(op) -> bool:
    """The softmax over classes has rank 2; those of the attention have rank 3 or 4."""
    return op.op_type == "softmax" and len(op.outputs[0].shape) == 2


def with_int8_weights(model):
    """The same program with 8-bit weights, one scale per output channel; pooling matrices as small exact tables.

    The matrix of a resize is such a table or stays as it is.
    """
    import coremltools.optimize as cto

    indices = index_bits(model)
    exact = {name: table() for name, bits in indices.items() if bits in PALETTE_BITS and bits <= SMALL_TABLE}
    if exact:
        model = cto.coreml.palettize_weights(model, config=cto.coreml.OptimizationConfig(op_name_configs=exact))
    config = cto.coreml.OptimizationConfig(
        global_config=cto.coreml.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=SMALLEST_QUANTISED),
        op_name_configs={name: None for name in indices if is_matrix(name) and name not in exact},
    )
    return cto.coreml.linear_quantize_weights(model, config=config)


def index_bits(model) -> dict[str, int]:
    """Weight -> bits of an index into a table of its different values."""
    import coremltools.optimize as cto

    weights = cto.coreml.get_weights_metadata(model, weight_threshold=SMALLEST_QUANTISED)
    return {name: (weight.unique_values - 1).bit_length() for name, weight in weights.items()}


def table():
    """A lossless table: each different value once, and indices."""
    import coremltools.optimize as cto

    return cto.coreml.OpPalettizerConfig(mode="unique", weight_threshold=SMALLEST_QUANTISED)


def with_palette(model, bits: int):
    """The same program with every weight one of 2^bits values of its tensor, found by k-means.

    The matrix of a resize keeps its values, and so does a tensor that already has so few (a pooling matrix): for the
    latter the k-means of coremltools 9.0 and scikit-learn 1.9 mixes up indices and writes wrong weights. Runs on one
    thread, because the result of k-means depends on the number of threads.
    """
    import coremltools.optimize as cto
    from threadpoolctl import threadpool_limits

    indices = index_bits(model)
    few = {name: own for name, own in indices.items() if own <= bits or is_matrix(name)}
    config = cto.coreml.OptimizationConfig(
        global_config=cto.coreml.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=SMALLEST_QUANTISED),
        op_name_configs={name: table() if own in PALETTE_BITS else None for name, own in few.items()},
    )
    with threadpool_limits(1):
        return cto.coreml.palettize_weights(model, config=config)


def compact(model, *, names: bool = True):
    """The same program with equal small constants written once and, unless `names` are kept, short names inside.

    Both together save a tenth of a compressed package, in which each of 35 convolutions has strides of its own.
    """
    import coremltools as ct

    spec = model.get_spec()
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    kept = {*block.outputs, *(tensor.name for tensor in function.inputs)}
    kept |= {output.name for op in block.operations for output in op.outputs if is_matrix(output.name)}
    short: dict[str, str] = {}  # name -> its short name, or that of the equal constant before it
    written: dict[bytes, str] = {}
    operations = list(block.operations)
    del block.operations[:]
    for op in operations:
        for argument in op.inputs.values():
            for reference in argument.arguments:
                if reference.WhichOneof("binding") == "name":
                    reference.name = short.get(reference.name, reference.name)
        value = op.attributes["val"] if op.type == "const" else None
        if value is not None and value.WhichOneof("value") == "immediateValue" and op.outputs[0].name not in kept:
            content = value.SerializeToString(deterministic=True)
            if content in written:
                short[op.outputs[0].name] = written[content]
                continue
            written[content] = op.outputs[0].name if names else f"v{len(short):x}"
        for output in op.outputs:
            if output.name not in kept and not names:
                output.name = short.setdefault(output.name, f"v{len(short):x}")
        if "name" in op.attributes and not names:
            op.attributes["name"].immediateValue.tensor.strings.values[0] = op.outputs[0].name
        block.operations.append(op)
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def describe_second_input(spec, manifest: Manifest) -> None:
    """What an app has to know of `answers`, in the metadata of a Model message that has them."""
    metadata = spec.description.metadata
    metadata.shortDescription = f"{metadata.shortDescription}, with what was answered beside it"
    inside, before = manifest.facts_inside(answers=True), manifest.facts_inside()
    for key, value in inside.items():
        if key not in before:
            metadata.userDefined[f"{METADATA}{key}"] = value if isinstance(value, str) else json.dumps(value)
    for feature in spec.description.input:
        if feature.name != INPUT:
            feature.shortDescription = inside["answers"]["meaning"]


def save(model, target: Path, manifest: Manifest, recipe: str) -> None:
    """Write the package with the manifest's facts in its user-defined metadata."""
    model.short_description = f"{manifest.model} ({recipe}): RGB photograph of a skin lesion -> class probabilities"
    model.license = "Apache-2.0 (model); training data: see dermedge.training"
    model.author = "dermedge"
    model.version = manifest.versions.get("dermedge", "")
    model.user_defined_metadata["dermedge.intended_use"] = INTENDED_USE
    for key, value in manifest.facts_inside().items():
        if key == "intended_use":  # written above, so that it comes first
            continue
        model.user_defined_metadata[f"{METADATA}{key}"] = value if isinstance(value, str) else json.dumps(value)
    model.user_defined_metadata["dermedge.recipe"] = recipe
    model.input_description[INPUT] = (
        f"upright RGB, {manifest.side} x {manifest.side} pixels, 0..255: centred square crop, "
        f"resize {manifest.preprocess}"
    )
    model.output_description[PROBABILITIES] = manifest.output.meaning
    if manifest.mask:
        model.output_description[MASK] = manifest.mask.meaning
        model.user_defined_metadata[PREVIEW_TYPE] = "imageSegmenter"
        model.user_defined_metadata[PREVIEW_PARAMETERS] = json.dumps(PREVIEW)
    model.output_description[LABEL] = "code of the most probable class"
    model.save(str(target))
    (target / DEBUG_MAP).unlink(missing_ok=True)
    for part in target.rglob("*"):  # coremltools lets the owner alone read some of them
        part.chmod(0o755 if part.is_dir() else 0o644)
