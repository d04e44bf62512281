"""Which operator makes the difference: each is run alone in both runtimes, on the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.files import scratch_in
from edge.phones import NotSetUp
from edge.progress import track
from edge.questions.matrix.limits import RISK
from edge.runtimes.foreign.tflite import Contents, invoked, opened
from edge.tflite.alone import alone
from edge.tflite.graph import Node, nodes_of
from edge.tflite.opens_from import release_of
from edge.tflite.versions import FLOAT16, FLOAT32, INT8, INT32, INT64, UINT8, use_of, version_of
from edge.tflite.versions import described as described_tensor

from .inside import inner_values
from .rounding import FLOAT16_UNIT, LAYERS, described, scale_of, spread_of

MOST = 8  # inputs or outputs of a file in a phone's library (runner.c)
TYPES = {FLOAT32, FLOAT16, UINT8, INT8, INT32, INT64}  # that runtimes hand over
SAME_BYTES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE"}
A_TENTH = 0.1
MARGIN = 3  # of one operator, whose sums have an order of their own instead of a random one
TINY = 1e-30


@dataclass(frozen=True)
class Difference:
    """An operator whose results differ by more than its rounding explains, on the same inputs."""

    place: int  # among the file's operators, from 0
    kind: str  # the schema's name
    output: str  # name of its result
    version: int
    version_by_rules: int  # by TensorFlow's rules; a runtime without that version would have refused
    release: str | None  # of TFLite, the first with that version
    weights: str | None  # of a layer, in words
    reads: str  # types of its inputs, in words
    times: float | None  # largest difference, in units of what rounding explains; None: the runtime stops, or says NaN
    relative: float | None  # length of the difference by that of the result
    said: str  # where the runtime refused it, its words


@dataclass(frozen=True)
class Search:
    """All operators of a file, each alone in a runtime."""

    compared: int
    left_out: int  # of types that runtimes do not hand over, or in another subgraph
    different: tuple[Difference, ...]  # in the order of the file

    @property
    def first(self) -> Difference | None:
        """The first of those that matter: at least a tenth as wrong as the worst."""
        sizes = [np.inf if d.relative is None else d.relative for d in self.different]
        worst = max(sizes, default=0.0)
        return next((d for d, size in zip(self.different, sizes, strict=True) if size >= A_TENTH * worst), None)


def search(contents: Contents, mode: str, picture_u8: np.ndarray, unit: float, folder: Path) -> Search:
    """Every operator on the values that the network has on one picture, in the runtime `mode` and by LiteRT's own
    kernels here; where half precision is forced, on these values in half precision. `folder`: for the small files that
    are run. InputError where LiteRT here cannot run the file.
    """
    model, nodes = contents.model, nodes_of(contents.model)
    wanted = {tensor for node in nodes for tensor in (*node.live, *node.makes)}
    values = inner_values(contents.path, contents.pixels.tensor(picture_u8), wanted)
    tensors = model.subgraphs[0].tensors
    fit = [
        node for node in nodes
        if node.kind not in SAME_BYTES and len(node.live) <= MOST and len(node.makes) <= MOST
        and all(t in values and tensors[t].type in TYPES for t in (*node.live, *node.makes))
    ]  # fmt: skip
    different: list[Difference] = []
    with scratch_in(folder) as work:
        batches = list(groups(fit))
        for batch in track(batches, f"operators in {mode}", len(batches)):
            right = {node.place: [values[t] for t in node.makes] for node in batch}
            handed = values
            if unit == FLOAT16_UNIT:  # an operator there gets no others
                handed = {t: in_half(values[t]) for node in batch for t in node.live}
                again = results_of(model, batch, "reference", handed, work / "operators.tflite")
                right |= {node.place: results for node, results, _ in again if results is not None}
            for node, results, said in results_of(model, batch, mode, handed, work / "operators.tflite"):
                reads = {tensor: handed[tensor] for tensor in node.live}
                difference = judged(model, node, reads, right[node.place], results, said, unit)
                if difference is not None:
                    different.append(difference)
    left_out = sum(node.kind not in SAME_BYTES for node in nodes) - len(fit)
    return Search(len(fit), left_out, tuple(different))


def in_half(value: np.ndarray) -> np.ndarray:
    """A float value as half precision has it, in its own type."""
    if not np.issubdtype(value.dtype, np.floating):
        return value
    with np.errstate(over="ignore"):
        return value.astype(np.float16).astype(value.dtype)


def groups(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Nodes in order, so many together as one file takes; none reads what another of its group makes."""
    group: list[Node] = []
    for node in nodes:
        reads = {t for n in (*group, node) for t in n.live}
        makes = [t for n in (*group, node) for t in n.makes]
        if group and (len(reads) > MOST or len(makes) > MOST or reads & set(makes)):
            yield group
            group = []
        group.append(node)
    if group:
        yield group


def results_of(
    model: Any, nodes: list[Node], mode: str, values: dict[int, np.ndarray], path: Path
) -> Iterator[tuple[Node, list[np.ndarray] | None, str]]:
    """Each node with its results, or with the runtime's words where it does not run that node."""
    content, inputs, outputs = alone(model, nodes)
    path.write_bytes(content)
    said = ""
    try:
        engine = opened(path, mode)
        try:
            answers = invoked(engine, [values[tensor] for tensor in inputs], mode)
        finally:
            if hasattr(engine, "close"):
                engine.close()
    except NotSetUp:
        raise
    except InputError as refusal:
        said = str(refusal)
    if not said:
        by_tensor = dict(zip(outputs, answers, strict=True))
        yield from ((node, [by_tensor[tensor] for tensor in node.makes], "") for node in nodes)
    elif len(nodes) == 1:
        yield nodes[0], None, said
    else:
        for node in nodes:
            yield from results_of(model, [node], mode, values, path)


def judged(
    model: Any, node: Node, reads: dict[int, np.ndarray], wanted: list[np.ndarray],
    results: list[np.ndarray] | None, said: str, unit: float,
) -> Difference | None:  # fmt: skip
    """None where the results are the same but for rounding."""
    if results is None:
        return difference_of(model, node, None, None, said)
    spread = spread_of(model, node, reads, wanted[0], unit)
    times, relative = 0.0, 0.0
    for number, (right, answer) in enumerate(zip(wanted, results, strict=True)):
        a, b = np.asarray(answer, np.float64).reshape(right.shape), right.astype(np.float64)
        if not np.array_equal(np.isnan(a), np.isnan(b)):
            return difference_of(model, node, None, None, "not a number")
        apart = np.abs(np.where(a == b, 0.0, a - b))
        apart[np.isnan(apart)] = 0.0
        tensor = model.subgraphs[0].tensors[node.makes[number]]
        if tensor.type in (INT8, UINT8):
            allowed: Any = 1.0 if spread.flips else TINY  # steps
            zero = scale_of(tensor)[1]
        else:
            allowed = MARGIN * np.sqrt(2 * np.log(2 * right.size / RISK)) * spread.sigma + TINY
            zero = 0
        times = max(times, float((apart / allowed).max(initial=0.0)))
        size = float(np.linalg.norm(np.nan_to_num(b - zero, posinf=0, neginf=0)))
        relative = max(relative, float(np.linalg.norm(apart)) / max(size, TINY) if apart.any() else 0.0)
    return difference_of(model, node, min(times, 1e9), min(relative, 1e9), "") if times > 1 else None


def difference_of(model: Any, node: Node, times: float | None, relative: float | None, said: str) -> Difference:
    graph = model.subgraphs[0]
    version = version_of(node.kind, use_of(graph.operators[node.place], [described_tensor(t) for t in graph.tensors]))
    release = release_of(node.kind, version)
    constants = [t for t in node.reads if t >= 0 and t not in node.live]
    return Difference(
        node.place, node.kind, name_of(graph, node.makes[0]), node.version, version,
        ".".join(map(str, release)) if release else None,
        described(model, constants[0]) if constants and node.kind in LAYERS else None,
        ", ".join(dict.fromkeys(described(model, tensor) for tensor in node.live)), times, relative, said,
    )  # fmt: skip


def name_of(graph: Any, tensor: int) -> str:
    name = graph.tensors[tensor].name
    return name.decode("utf-8", "replace")[:200] if name else f"tensor {tensor}"
