"""How far apart the answers of two right runtimes may be: what each operator may be off is added to its result, at
random, and the file itself says what that does to its answer. docs/matrix.md, "Limits"."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line
from edge.runtimes.foreign import as_kind
from edge.runtimes.foreign.tflite import Contents
from edge.runtimes.litert import load_runtime
from edge.tflite.flatbuffer import pack, unpack
from edge.tflite.graph import DAMAGED, Node, nodes_of
from edge.tflite.versions import FLOAT32, INT8, UINT8

from .inside import inner_values
from .rounding import Spread, scale_of, spread_of

DRAWS = 16  # of a large file
MOST_DRAWS = 64  # of a small one, which takes no longer with them
NUMBERS = 2**26  # that are drawn for a file with fewer draws than that
RISK = 1e-3  # that right runtimes are called different, for a whole file
POOL = 2**21 + 7  # normal numbers that are drawn once; each result takes them from another place of the pool


def limits_of(
    contents: Contents, pictures_u8: np.ndarray, unit: float, *, gives: str, source: bool = False, seed: int = 0
) -> np.ndarray:
    """The largest difference of a probability that rounding explains, for each picture, (N,); not finite where the
    file's own numbers are not.

    `unit`: unit roundoff of float arithmetic. `gives`: what the file's answers are, as `probabilities_of` says.
    `source`: against the float network that the file was made of, instead of between two runtimes. InputError where
    LiteRT here cannot run the file operator by operator, or its operators cannot be read.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # infinite inner values give limits that are not finite
            return derived(contents, pictures_u8, unit, gives, source=source, seed=seed)
    except InputError:
        raise
    except DAMAGED as error:  # files of anybody's hold what nobody thought of
        raise InputError(
            f"{contents.path.name}: no limit can be derived ({type(error).__name__}: {first_line(error)})"
        ) from error


def derived(
    contents: Contents, pictures_u8: np.ndarray, unit: float, gives: str, *, source: bool, seed: int
) -> np.ndarray:
    nodes = nodes_of(contents.model)
    wanted = {tensor for node in nodes for tensor in (*node.live, *node.makes)}
    random = np.random.default_rng(seed)
    output = int(contents.model.subgraphs[0].outputs[contents.output])
    disturbed: Disturbed | None = None
    deviations = []
    for picture in pictures_u8:
        tensor = contents.pixels.tensor(picture)
        values = inner_values(contents.path, tensor, wanted)
        spreads = {
            node.makes[0]: spread_of(
                contents.model, node, {t: values[t] for t in node.live if t in values}, values[node.makes[0]], unit,
                source=source,
            )
            for node in nodes
            if node.makes and node.makes[0] in values
        }  # fmt: skip
        if contents.scale != 1.0:  # the last rounding is one step, whatever comes before
            spreads.pop(output, None)
        disturbed = disturbed or Disturbed(contents, nodes, values, gives)
        deviations.append(disturbed.deviation(tensor, spreads, random))
    draws = disturbed.draws if disturbed else DRAWS
    return factor(len(pictures_u8) * contents.classes, draws) * np.array(deviations) + last_step(contents)


def last_step(contents: Contents) -> float:
    """One step of an 8-bit output."""
    return contents.scale if contents.scale != 1.0 else 0.0


def factor(numbers: int, draws: int) -> float:
    """From a standard deviation of so many draws to what none of so many numbers exceeds, but by the `RISK`: the
    Gaussian tail, and the least that so few draws show of a deviation (chi-squared)."""
    from scipy.stats import chi2

    return float(np.sqrt(2 * np.log(2 * numbers / RISK)) * np.sqrt(draws / chi2.ppf(RISK, draws)))


class Disturbed:
    """A file in which a number can be added to each result: an input of its own and an ADD behind each operator."""

    def __init__(self, contents: Contents, nodes: list[Node], values: dict[int, np.ndarray], gives: str) -> None:
        self.contents, self.gives = contents, gives
        content, self.order = with_additions(contents, {n.makes[0] for n in nodes if n.makes and n.makes[0] in values})
        interpreter_of, _ = load_runtime()
        try:
            self.interpreter: Any = interpreter_of(model_content=content, num_threads=1)
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{contents.path.name}: LiteRT does not run it with additions ({first_line(error)}); no limit can be "
                "derived"
            ) from error
        self.pool = np.random.default_rng(0).standard_normal(POOL, np.float32)
        self.inputs = self.interpreter.get_input_details()
        self.output = self.interpreter.get_output_details()[contents.output]["index"]
        size = sum(int(np.prod(detail["shape"])) for detail in self.inputs[1:])
        self.draws = min(MOST_DRAWS, max(DRAWS, NUMBERS // max(1, size)))

    def deviation(self, picture: np.ndarray, spreads: dict[int, Spread], random: np.random.Generator) -> float:
        """Standard deviation of the answer, of that of its numbers which moves most."""
        self.interpreter.set_tensor(self.inputs[0]["index"], picture)
        moved: list[tuple[dict[str, Any], Spread]] = []
        for tensor, detail in zip(self.order, self.inputs[1:], strict=True):
            shape, kind = tuple(detail["shape"]), detail["dtype"]
            self.interpreter.set_tensor(detail["index"], np.full(shape, 128 if kind == np.uint8 else 0, kind))
            spread = spreads.get(tensor, Spread())
            if spread.flips if kind != np.float32 else np.any(spread.sigma):
                moved.append((detail, Spread(np.asarray(spread.sigma, np.float32), spread.flips)))
        still = self.answer([], random)
        draws = np.array([self.answer(moved, random) - still for _ in range(self.draws)])
        return float(np.sqrt((draws**2).mean(axis=0)).max())

    def answer(self, moved: list[tuple[dict[str, Any], Spread]], random: np.random.Generator) -> np.ndarray:
        """What the file says with a random number added to these results; what was added before stays elsewhere."""
        for detail, spread in moved:
            shape, kind = tuple(detail["shape"]), detail["dtype"]
            if kind == np.float32:
                noise = self.normal(shape, random) * spread.sigma
            else:
                signs = random.choice(np.array([-1, 1], np.int16), shape)
                middle = 128 if kind == np.uint8 else 0
                noise = (middle + signs * (random.random(shape, np.float32) < spread.flips)).astype(kind)
            self.interpreter.set_tensor(detail["index"], noise)
        self.interpreter.invoke()
        codes = np.asarray(self.interpreter.get_tensor(self.output), np.float64).reshape(1, -1)
        return as_kind((codes - self.contents.zero) * self.contents.scale, self.gives)[0]

    def normal(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Normal numbers of deviation 1, float32: a run of the pool from a random place, around its end."""
        size = int(np.prod(shape))
        start = int(random.integers(POOL))
        numbers = self.pool[start : start + size]
        if len(numbers) < size:
            numbers = np.resize(np.concatenate([numbers, self.pool]), size)
        return numbers.reshape(shape)


def with_additions(contents: Contents, results: set[int]) -> tuple[bytes, list[int]]:
    """The file with an addition behind each of these results that is float or 8-bit with one scale, and the results in
    the order of the inputs that are added."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(contents.path.read_bytes())
    model.signatureDefs = None
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 2
    model.operatorCodes.append(code)
    moved: dict[int, int] = {}  # result -> the sum that is read in its place
    order, operators = [], []
    for operator in graph.operators:
        operator.inputs = np.array([moved.get(int(t), int(t)) for t in operator.inputs], np.int32)
        operators.append(operator)
        for tensor in map(int, operator.outputs):
            entry = graph.tensors[tensor]
            eight = entry.type in (INT8, UINT8) and scale_of(entry) != (1.0, 0)
            if tensor not in results or not (entry.type == FLOAT32 or eight):
                continue
            places = []
            for name in ("added", "sum"):
                extra = schema.TensorT()
                extra.shape, extra.type, extra.hasRank, extra.buffer = entry.shape, entry.type, True, 0
                extra.name = f"{name} {tensor}".encode()
                extra.quantization = entry.quantization
                places.append(len(graph.tensors))
                graph.tensors.append(extra)
            if eight:
                graph.tensors[places[0]].quantization = schema.QuantizationParametersT()
                added = graph.tensors[places[0]].quantization
                added.scale = np.array([scale_of(entry)[0]], np.float32)
                added.zeroPoint = np.array([128 if entry.type == UINT8 else 0], np.int64)
            sum_of = schema.OperatorT()
            sum_of.opcodeIndex = len(model.operatorCodes) - 1
            sum_of.inputs, sum_of.outputs = np.array([tensor, places[0]], np.int32), np.array([places[1]], np.int32)
            sum_of.builtinOptionsType, sum_of.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
            operators.append(sum_of)
            moved[tensor] = places[1]
            order.append(tensor)
            graph.inputs = np.append(graph.inputs, np.int32(places[0])).astype(np.int32)
    graph.operators = operators
    graph.outputs = np.array([moved.get(int(t), int(t)) for t in graph.outputs], np.int32)
    return pack(model), order
