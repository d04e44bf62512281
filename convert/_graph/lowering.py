"""From a traced graph to a file, operator by operator; what there is no operator for is taken apart as torch does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from torch import fx

from .passes import PASSES, Pass, rewrite
from .take_apart import take_apart


class NoOperator(NotImplementedError):
    """There is no operator for an operation, or for a form of it."""

    def __init__(self, node: fx.Node, why: str, format: str) -> None:
        super().__init__(f"no {format} operator for {why} ({node.name})")
        self.node, self.why = node, why


class Unwritten(NotImplementedError):
    """An operation remains that nothing of a format stands for: the first that was missing, as its author wrote it.

    `graph` is the graph before the format's own rewrites, `fired` how often each rewrite before it fired.
    """

    def __init__(self, missing: NoOperator, graph: fx.GraphModule, fired: dict[str, int]) -> None:
        super().__init__(str(missing))
        self.missing, self.graph, self.fired = missing, graph, fired


@dataclass(frozen=True)
class Written:
    content: bytes
    graph: fx.GraphModule  # as it was written, after all rewrites
    fired: dict[str, int]


def unknown(graph: fx.GraphModule, known: Collection[object]) -> list[fx.Node]:
    """The calls of operations that are not `known`."""
    calls = [n for n in graph.graph.nodes if n.op not in {"placeholder", "output", "get_attr"}]
    return [node for node in calls if node.target not in known]


def written(
    traced: fx.GraphModule, passes: Sequence[Pass], known: Collection[object], emit: Callable[[fx.GraphModule], bytes]
) -> Written:
    """The file that `emit` makes of the graph after the shared rewrites and a format's own `passes`.

    `emit` raises NoOperator for what it cannot write; `known` are the operations that it can. Raises Unwritten where
    taking apart leaves such an operation.
    """
    graph, fired = rewrite(traced, PASSES)
    whole, first = graph, None
    tried: set[object] = set()
    while True:
        own, more = rewrite(graph, passes)
        try:
            return Written(emit(own), own, fired | more)
        except NoOperator as missing:
            first = first or missing  # what the author wrote, not what became of it
            targets = {node.target for node in unknown(own, known)} | {missing.node.target}
            smaller, apart = take_apart(graph, targets - tried)
        if not apart:
            raise Unwritten(first, whole, fired)
        tried |= targets
        graph, again = rewrite(smaller, PASSES)
        fired = {name: count + again.get(name, 0) for name, count in fired.items()}
        fired["take_apart"] = fired.get("take_apart", 0) + apart
