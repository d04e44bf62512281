"""Through a file, operation by operation: which torch layer each is, what it loses itself, what its precision explains.

The walk keeps the torch graph and the file in step. What the file has computed stands for the torch node, so that the
next node is computed by torch *from the file's own values*: what an operation has inherited from those before it is on
both sides, and the difference is what the operation itself has lost. That is held against what its precision explains
for just these values (`precision.py`). Depth does not come into it.

Which node an operation is, is found by the values: among the nodes that follow those of its inputs, the one that it
agrees with. Names are not looked at, so a file from elsewhere, or with short names, is read the same way.

* Agrees within its precision: that is its place.
* Agrees with none: it waits. If a later operation agrees although torch went around the one that waits, that one only
  has no counterpart (a rewrite took another way). If a later one agrees only when the waiting value stands for a node,
  then that node is its place, and it is off. If nothing later agrees, the likeliest node is its place, unconfirmed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor, fx

from edge.runtimes.inside import Inside, Op

from .kinds import MOVING, kinds_of
from .network import Network, kind_of
from .places import Place, best_place
from .precision import Rounded, explained_db

REACH = 14  # steps in the torch graph from the nodes of the inputs
RECOGNISED_DB = 10.0  # with a tenth of its power in noise no tensor is told from another
SIMILAR_DB = 6.0  # a node that resembles the tensor so much may be its place even if the kinds do not match
TRIES = 3  # nodes tried for an operation that is off
DOUBTED = 4  # waiting operations that are tried


@dataclass
class Step:
    """One result of an operation, and where it is in the torch model."""

    op: Op
    key: str
    place: Place | None = None
    own_db: float = math.nan  # against torch on the file's own inputs
    least_db: float = math.nan  # what the precision explains
    off: bool = False
    confirmed: bool = True  # that later operations agree with this place
    waiting: bool = False
    guesses: list[Place] = field(default_factory=list)
    around: list[int] = field(default_factory=list)  # operations without a counterpart that its loss may come from


class Walk:
    def __init__(self, network: Network, inside: Inside) -> None:
        self.network, self.inside = network, inside
        self.maker = {key: step for op in inside.ops for key in op.outputs for step in [Step(op, key)]}
        self.steps = list(self.maker.values())
        self.nodes: dict[str, fx.Node] = {}
        self.stood: dict[
            str, list[Tensor]
        ] = {}  # what stands for the node; a node may have several, as float and 8-bit
        image = best_place(network, network.image, inside.values[inside.image])
        assert image is not None
        self.nodes[inside.image], self.stood[inside.image] = network.image, network.images

    def run(self, progress: Callable[[Any], Any] = list) -> list[Step]:
        for step in progress(self.steps):
            if step.key in self.inside.values and np.ndim(self.inside.values[step.key][0]):
                self.look(step)
        for step in self.steps:  # what still waits at the end was never agreed with
            if step.waiting and step.guesses and self.leads_on(step):
                self.behind(step)
                step.place, step.off, step.confirmed = step.guesses[0], True, False
                step.own_db = step.place.sqnr_db
                step.least_db = self.explained(step, step.place, [])
        return self.steps

    def look(self, step: Step) -> None:
        starts, region = self.behind(step)
        places = self.settle(step, starts, region)
        if step.place is not None:
            for other in region:
                other.waiting = False  # torch went around it and agreed
            return
        # an operation that only moves what waits agrees with it anyway
        doubted = (
            [s for s in reversed(region) if s.waiting and s.guesses][:DOUBTED]
            if places and step.op.kind not in MOVING
            else []
        )
        for other in doubted:
            for guess in other.guesses[:TRIES]:
                before = self.network.given.get(guess.node)
                between = self.behind(other)[1]
                least = self.explained(other, guess, between)
                self.stand_for(other, guess)
                new_starts, new_region = self.behind(step)
                self.settle(step, new_starts, new_region)
                if step.place is not None:
                    other.place, other.off, other.waiting = guess, guess.sqnr_db < least, False
                    other.own_db, other.least_db = guess.sqnr_db, least
                    other.around = [s.op.place for s in between]
                    return
                del self.nodes[other.key]
                self.network.take_back(guess.node, before)
        step.waiting = True
        step.guesses = self.guesses(step, places)

    def behind(self, step: Step) -> tuple[list[fx.Node], list[Step]]:
        """The nearest nodes behind an operation, and the steps between them and it, in the file's order."""
        nodes: dict[fx.Node, str] = {}
        between: dict[str, Step] = {}
        waiting = list(step.op.inputs)
        while waiting:
            key = waiting.pop()
            if key in self.nodes:
                nodes[self.nodes[key]] = key
            elif key in self.maker and key not in between:
                between[key] = self.maker[key]
                waiting += self.maker[key].op.inputs
        for node, key in nodes.items():  # what this operation reads, not what another made of it
            if self.network.given[node] is not self.stood[key]:
                self.network.give(node, self.stood[key])
        return list(nodes), sorted(between.values(), key=lambda s: s.op.place)

    def settle(self, step: Step, starts: list[fx.Node], region: list[Step]) -> list[Place]:
        """Take the nearest node that the result agrees with within its precision; else all that were tried.

        Nodes that the inputs stand for already are tried where values are only moved, or seen in another way.
        """
        tried, kinds = [], kinds_of(step.op.kind)
        for node in self.network.after(starts, REACH):
            place = best_place(self.network, node, self.inside.values[step.key], likely=kind_of(node) in kinds)
            if place is None or (node in starts and step.op.kind not in MOVING and not place.view.words):
                continue
            if place.sqnr_db >= RECOGNISED_DB:
                least = self.explained(step, place, region)
                if place.sqnr_db >= least:
                    self.stand_for(step, place)
                    step.place, step.own_db, step.least_db = place, place.sqnr_db, least
                    return []
            tried.append(place)
        return tried

    def explained(self, step: Step, place: Place, region: list[Step]) -> float:
        around = None
        for other in region:
            around = other.op.precision if around is None else around.coarser(other.op.precision)
        precision = step.op.precision if around is None else replace(
            step.op.precision.coarser(around), step=step.op.precision.step
        )  # fmt: skip
        exact = self.network.value(place.node)
        if place.node in self.network.given:
            rounded: list[Tensor] = [Rounded(precision, around).result(v) for v in exact]
        else:
            rounded = self.network.rounded(place.node, Rounded(precision, around))
        seen, found = ([place.view.there(v, v) for v in values] for values in (exact, rounded))
        return explained_db(seen, found, precision, self.network.terms(place.node))

    def stand_for(self, step: Step, place: Place) -> None:
        exact = self.network.value(place.node)
        self.nodes[step.key] = place.node
        self.stood[step.key] = [place.view.back(v, e) for v, e in zip(place.values, exact, strict=True)]
        self.network.give(place.node, self.stood[step.key])

    def guesses(self, step: Step, places: list[Place]) -> list[Place]:
        """Where an operation that agrees with nothing most likely belongs: nodes of its kind, then similar ones."""
        kinds = kinds_of(step.op.kind)
        fitting = [p for p in places if kind_of(p.node) in kinds]
        similar = [p for p in places if p.sqnr_db >= SIMILAR_DB and p not in fitting]
        return sorted(fitting, key=lambda p: -p.sqnr_db) + sorted(similar, key=lambda p: -p.sqnr_db)

    def leads_on(self, step: Step) -> bool:
        """Whether nothing that was computed from this step agrees with torch."""
        return not any(
            other.place is not None and not other.off and step in self.behind(other)[1] for other in self.steps
        )
