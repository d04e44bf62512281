"""Packages as others have them: what coremltools makes of torch and transformers, and how it packs it.

Each maker writes a package and gives what its source answers. Nothing here knows the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import torch
from coremltools import optimize
from torch import Tensor, nn

from ._tensorflow import tensorflow_package

IDS, WORDS, SIDE = 12, 60, 64


@dataclass(frozen=True)
class Example:
    """A saved package, and rounds of inputs for it with the right answers in the order of its outputs."""

    path: Path
    rounds: list[tuple[dict[str, Any], list[np.ndarray]]]
    half: bool = False  # computes in float16
    stateful: bool = False
    function_name: str | None = None
    functions: tuple[str, ...] = ()  # of each round, where they differ; the state is one


Maker = Callable[[Path], Example]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng([len(shape), *shape]).normal(size=shape).astype(np.float32)


def ids(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, WORDS, shape).astype(np.int32)


class Logits(nn.Module):
    """The first result of a network of transformers; its other results are left out."""

    def __init__(self, net: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *values: Tensor) -> Tensor:
        result = self.net(**dict(zip(self.names, values, strict=True)), return_dict=False)
        return result[0]


def converted(
    net: nn.Module,
    arrays: Mapping[str, np.ndarray],
    path: Path,
    *,
    traced: bool = True,
    half: bool = False,
    **options: Any,
) -> ct.models.MLModel:
    """The package of a network, of a trace or of torch.export."""
    values = tuple(torch.from_numpy(value) for value in arrays.values())
    options = {"minimum_deployment_target": ct.target.iOS17, **options}
    source: Any = net
    if traced:
        if not isinstance(net, torch.jit.ScriptModule):
            source = torch.jit.trace(net, values, check_trace=False)
        options.setdefault(
            "inputs", [ct.TensorType(name, value.shape, dtype=value.dtype.type) for name, value in arrays.items()]
        )
    else:
        source = torch.export.export(net, values).run_decompositions({})
    model = ct.convert(
        source,
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )
    model.save(str(path))
    return model


def right(net: nn.Module, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        results = net(*(torch.from_numpy(value) for value in inputs.values()))
    return [value.numpy() for value in (results if isinstance(results, tuple | list) else [results])]


def of_torch(make: Callable[[], nn.Module], inputs: dict[str, np.ndarray], **options: Any) -> Maker:
    def maker(folder: Path) -> Example:
        torch.manual_seed(0)
        net = make().eval()
        path = folder / "m.mlpackage"
        model = converted(net, inputs, path, **options)
        names = [feature.name for feature in model.get_spec().description.input]
        return Example(
            path, [(dict(zip(names, inputs.values(), strict=True)), right(net, inputs))], options.get("half", False)
        )

    return maker


def of_transformers(
    kind: str,
    head: str,
    inputs: dict[str, np.ndarray],
    config: dict[str, Any],
    *,
    settled: bool = False,
    **options: Any,
) -> Maker:
    def make() -> nn.Module:
        import transformers

        settings = getattr(transformers, f"{kind}Config")(**config)
        settings._attn_implementation = "eager"
        net = Logits(getattr(transformers, f"{kind}{head}")(settings), tuple(inputs))
        for _ in range(20 if settled else 0):  # batch norms take their statistics, without which answers vanish
            right(net.train(), inputs)
        return net

    return of_torch(make, inputs, **options)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1, groups=2), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 5),
    )  # fmt: skip


def without_norms() -> nn.Module:
    return nn.Sequential(*(part for part in small() if not isinstance(part, nn.BatchNorm2d)))


class Recurrent(nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(8, 16, batch_first=True, **options)
        self.head = nn.Linear(32 if options.get("bidirectional") else 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


class Halving(nn.Module):
    """Halves until the sum is small: as many rounds as the values ask for."""

    def forward(self, x: Tensor) -> Tensor:
        while bool(x.abs().sum() > 1.0):
            x = x / 2
        return x


class Either(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return self.plus(x)
        return self.minus(x).relu()


class Pictures(nn.Module):
    """A picture and numbers beside it; two results."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = small(), nn.Linear(5 + 3, 2)

    def forward(self, picture: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.body(picture / 255)
        return self.head(torch.cat([seen, numbers], 1)), seen.softmax(1)


class Counter(nn.Module):
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.total.add_(x)
        return self.total * 2


PICTURE = {"x": drawn(1, 3, 32, 32)}
SEQUENCE = {"x": drawn(2, 7, 8)}


def compressed(step: Callable[..., Any], config: Any, ios: Any = ct.target.iOS17) -> Maker:
    """Compared with the same weights expanded by coremltools, computed by torch: what was lost is not asked."""

    def maker(folder: Path) -> Example:
        torch.manual_seed(0)
        net = without_norms().eval()
        model = converted(net, PICTURE, folder / "plain.mlpackage", minimum_deployment_target=ios)
        packed = step(model, optimize.coreml.OptimizationConfig(global_config=config))
        packed.save(str(folder / "m.mlpackage"))
        plain = optimize.coreml.decompress_weights(packed)
        expanded = [np.array(row.val) for row in optimize.coreml.get_weights_metadata(plain, 0).values()]
        for weight in (parameter for parameter in net.parameters() if parameter.ndim > 1):  # each of another shape
            (value,) = (value for value in expanded if value.shape == tuple(weight.shape))
            weight.data = torch.from_numpy(value).float()
        return Example(folder / "m.mlpackage", [(PICTURE, right(net, PICTURE))])

    return maker


def pictured(folder: Path) -> Example:
    """An image input, an array beside it, and two outputs."""
    from PIL import Image

    torch.manual_seed(0)
    net = Pictures().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    inputs = {"picture": pixels.transpose(2, 0, 1)[None].astype(np.float32), "numbers": drawn(1, 3)}
    path = folder / "m.mlpackage"
    kinds = [ct.ImageType("picture", (1, 3, 32, 48)), ct.TensorType("numbers", (1, 3))]
    converted(net, inputs, path, inputs=kinds)
    return Example(path, [({**inputs, "picture": Image.fromarray(pixels)}, right(net, inputs))])


def flexible(shape: Any, sizes: list[tuple[int, ...]]) -> Maker:
    def maker(folder: Path) -> Example:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1)).eval()
        path = folder / "m.mlpackage"
        converted(net, {"x": drawn(*sizes[0])}, path, inputs=[ct.TensorType("x", shape)])
        return Example(path, [({"x": drawn(*size)}, right(net, {"x": drawn(*size)})) for size in sizes])

    return maker


def counting(folder: Path) -> Example:
    net, path = Counter().eval(), folder / "m.mlpackage"
    x = {"x": drawn(3).astype(np.float16).astype(np.float32)}
    state = ct.StateType(ct.TensorType(shape=(3,), dtype=np.float16), "total")
    converted(net, x, path, states=[state], minimum_deployment_target=ct.target.iOS18, half=True)
    net.total.zero_()
    return Example(
        path, [(x, [np.array(value) for value in right(net, x)]) for _ in range(4)], half=True, stateful=True
    )


def two_functions(folder: Path) -> Example:
    nets = {}
    both = ct.utils.MultiFunctionDescriptor()
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        nets[name] = small().eval()
        path = folder / f"{name}.mlpackage"
        converted(nets[name], PICTURE, path, minimum_deployment_target=ct.target.iOS18)
        both.add_function(str(path), src_function_name="main", target_function_name=name)
    both.default_function_name = "first"
    ct.utils.save_multifunction(both, str(folder / "m.mlpackage"))
    return Example(folder / "m.mlpackage", [(PICTURE, right(nets["second"], PICTURE))], function_name="second")


class Sums(nn.Module):
    """Adds its rows to what it keeps, and answers with that through a layer."""

    total: Tensor

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("total", torch.zeros(4, dtype=torch.float16))

    def forward(self, rows: Tensor) -> Tensor:
        self.total.add_(rows.sum(0).half())
        return self.head(self.total.float())


def one_state(folder: Path) -> Example:
    """A prompt of five rows by one function, then row by row by the other."""
    torch.manual_seed(0)
    net = Sums(nn.Linear(4, 3)).eval()
    both = ct.utils.MultiFunctionDescriptor()
    state = [ct.StateType(ct.TensorType(shape=(4,), dtype=np.float16), "total")]
    for name, count in (("prompt", 5), ("token", 1)):
        path = folder / f"{name}.mlpackage"
        converted(net, {"rows": drawn(count, 4)}, path, states=state, minimum_deployment_target=ct.target.iOS18)
        both.add_function(str(path), src_function_name="main", target_function_name=name)
    both.default_function_name = "prompt"
    ct.utils.save_multifunction(both, str(folder / "m.mlpackage"))
    net.total.zero_()
    functions = ("prompt", "token", "token", "prompt", "token")
    rounds = []
    for name in functions:
        rows = {"rows": drawn(5 if name == "prompt" else 1, 4)}
        rounds.append((rows, right(net, rows)))
    return Example(folder / "m.mlpackage", rounds, stateful=True, functions=functions)


def one_after_the_other(folder: Path) -> Example:
    """A pipeline of two ML programs."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3).eval(), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    x = PICTURE["x"]
    between = right(first, {"x": x})[0]
    one = converted(first, {"x": x}, folder / "1.mlpackage", outputs=[ct.TensorType("middle")])
    two = converted(second, {"middle": between}, folder / "2.mlpackage", outputs=[ct.TensorType("y")])
    ct.utils.make_pipeline(one, two).save(str(folder / "m.mlpackage"))
    return Example(folder / "m.mlpackage", [({"x": x}, right(second, {"middle": between}))])


def of_tensorflow(name: str) -> Maker:
    def maker(folder: Path) -> Example:
        path, inputs, answers = tensorflow_package(name, folder)
        return Example(path, [(inputs, answers)])

    return maker


def of_2020(folder: Path) -> Example:
    """A neural network, the format of before iOS 15."""
    net = torch.jit.trace(small().eval(), torch.zeros(1, 3, 32, 32))
    model = ct.convert(
        net, convert_to="neuralnetwork", inputs=[ct.TensorType("x", (1, 3, 32, 32))], skip_model_load=True
    )
    model.save(str(folder / "m.mlmodel"))
    return Example(folder / "m.mlmodel", [(PICTURE, [])])


@dataclass(frozen=True)
class Case:
    source: str
    maker: Maker
    refused: str = ""  # words of the refusal, where one is right


PLACES = np.arange(IDS, dtype=np.int32)[None]
# Masks that are added to the scores: the converter cannot follow how transformers makes them of fewer numbers.
TEXT = {
    "input_ids": ids(1, IDS), "attention_mask": np.triu(np.full((1, 1, IDS, IDS), -1e4, np.float32), 1),
    "position_ids": PLACES,
}  # fmt: skip
MASKED = {
    "input_ids": ids(2, IDS), "token_type_ids": ids(2, IDS) % 2, "position_ids": PLACES,
    "attention_mask": np.where(np.arange(IDS) < np.array([[IDS], [7]]), 0, -1e4).astype(np.float32)[:, None, None]
    * np.ones((1, 1, IDS, 1), np.float32),
}  # fmt: skip
UNTYPED = {name: MASKED[name] for name in ("input_ids", "attention_mask")}
PIXELS = {"pixel_values": drawn(1, 3, SIDE, SIDE)}
ENCODER = {
    "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": SIDE,
    "patch_size": 16,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
SHRINK = optimize.coreml
CASES: dict[str, Case] = {
    "convolutions": Case("torch, traced", of_torch(small, PICTURE)),
    "convolutions, float16": Case("torch, traced", of_torch(small, PICTURE, half=True)),
    "convolutions, exported": Case("torch.export", of_torch(small, PICTURE, traced=False)),
    "LSTM, both directions": Case("torch, traced", of_torch(lambda: Recurrent("LSTM", bidirectional=True), SEQUENCE)),
    "LSTM of two layers": Case("torch, traced", of_torch(lambda: Recurrent("LSTM", num_layers=2), SEQUENCE)),
    "GRU": Case("torch, traced", of_torch(lambda: Recurrent("GRU"), SEQUENCE)),
    "RNN": Case("torch, traced", of_torch(lambda: Recurrent("RNN"), SEQUENCE)),
    "a loop": Case("torch, scripted", of_torch(lambda: torch.jit.script(Halving()), {"x": drawn(5) * 10})),
    "a condition": Case("torch, scripted", of_torch(lambda: torch.jit.script(Either()), {"x": drawn(2, 6)})),
    "BERT": Case("transformers", of_transformers("Bert", "ForSequenceClassification", MASKED, ENCODER)),
    "BERT, float16": Case(
        "transformers", of_transformers("Bert", "ForSequenceClassification", MASKED, ENCODER, half=True)
    ),
    "DistilBERT": Case(
        "transformers",
        of_transformers(
            "DistilBert", "ForMaskedLM", UNTYPED,
            {"vocab_size": WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
        ),
    ),
    "GPT-2": Case(
        "transformers",
        of_transformers(
            "GPT2", "LMHeadModel", TEXT,
            {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "use_cache": False},
        ),
    ),
    "OPT": Case(
        "transformers",
        of_transformers(
            "OPT", "ForCausalLM", TEXT,
            {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48,
             "max_position_embeddings": 40, "word_embed_proj_dim": 32, "use_cache": False},
        ),
    ),
    "ViT": Case("transformers", of_transformers("ViT", "ForImageClassification", PIXELS, VISION)),
    "DeiT, float16": Case("transformers", of_transformers("DeiT", "ForImageClassification", PIXELS, VISION, half=True)),
    "CLIP's image tower": Case("transformers", of_transformers("CLIPVision", "Model", PIXELS, VISION)),
    "ResNet": Case(
        "transformers", of_transformers("ResNet", "ForImageClassification", PIXELS, {"embedding_size": 8, **STAGES})
    ),
    "MobileNetV2": Case(
        "transformers",
        of_transformers("MobileNetV2", "ForImageClassification", PIXELS, {"depth_multiplier": 0.35}, settled=True),
    ),
    "ConvNeXt": Case("transformers", of_transformers("ConvNext", "ForImageClassification", PIXELS, STAGES)),
    "SegFormer": Case(
        "transformers",
        of_transformers(
            "Segformer", "ForSemanticSegmentation", PIXELS,
            {**STAGES, "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16},
        ),
    ),
    "8-bit weights": Case(
        "coremltools.optimize",
        compressed(SHRINK.linear_quantize_weights, SHRINK.OpLinearQuantizerConfig(weight_threshold=64)),
    ),
    "4-bit palettes": Case(
        "coremltools.optimize",
        compressed(SHRINK.palettize_weights, SHRINK.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=64)),
    ),
    "half of the weights 0": Case(
        "coremltools.optimize",
        compressed(SHRINK.prune_weights, SHRINK.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=64)),
    ),
    "4-bit blocks": Case(
        "coremltools.optimize",
        compressed(
            SHRINK.linear_quantize_weights,
            SHRINK.OpLinearQuantizerConfig(dtype="int4", granularity="per_block", block_size=4, weight_threshold=64),
            ct.target.iOS18,
        ),
    ),
    "4-bit palettes, one for 8 channels": Case(
        "coremltools.optimize",
        compressed(
            SHRINK.palettize_weights,
            SHRINK.OpPalettizerConfig(
                mode="uniform", nbits=4, granularity="per_grouped_channel", group_size=8, weight_threshold=64
            ),
            ct.target.iOS18,
        ),
    ),
    "a picture and numbers": Case("several inputs", pictured),
    "a range of sizes": Case(
        "flexible shapes",
        flexible(
            (1, 3, ct.RangeDim(8, 64, 16), ct.RangeDim(8, 64, 16)), [(1, 3, 16, 16), (1, 3, 8, 64), (1, 3, 33, 20)]
        ),
    ),
    "listed sizes": Case(
        "flexible shapes",
        flexible(ct.EnumeratedShapes([(1, 3, 16, 16), (1, 3, 24, 32)]), [(1, 3, 16, 16), (1, 3, 24, 32)]),
    ),
    "a counter": Case("state", counting),
    "two functions": Case("multifunction", two_functions),
    "two functions that share a state": Case("multifunction, state", one_state),
    "two programs in a row": Case("pipeline", one_after_the_other),
    "Keras: convolutions": Case("TensorFlow", of_tensorflow("convolutions")),
    "Keras: MobileNetV2": Case("TensorFlow", of_tensorflow("mobilenet")),
    "Keras: LSTM in both directions, GRU": Case("TensorFlow", of_tensorflow("recurrent")),
    "Keras: attention, two inputs and answers": Case("TensorFlow", of_tensorflow("attention")),
    "a loop that fills a TensorArray": Case("TensorFlow", of_tensorflow("loop")),
    "neural network": Case("before iOS 15", of_2020, "convert_to='mlprogram'"),
}  # fmt: skip
