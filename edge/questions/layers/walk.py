"""Through a file, operation by operation: which torch layer each is, what it loses itself, what its precision explains.

The walk keeps the torch graph and the file in step. What the file has computed stands for the torch node, so that the
next node is computed by torch *from the file's own values*: what an operation has inherited from those before it is on
both sides, and the difference is what the operation itself has lost. That is held against what its precision explains
for just these values (`precision.py`). Depth does not come into it.

Which node an operation is, is found by the values: among the nodes that follow those of its inputs, the one that it
agrees with. Names are not looked at, so a file from elsewhere, or with short names, is read the same way.

* Agrees within its precision: that is its place.
* Agrees with none: it waits. If a later operation agrees although torch went around the one that waits, that one only
  has no counterpart (a rewrite took another way).
* If nothing agrees any more, one of those that wait is off. Each is tried at the nodes of its kind: what it computed
  stands for the node, and the one after which most of the following operations agree again is it. If none helps,
  the first of them is named as the likeliest, unconfirmed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx

from edge.runtimes.inside import Inside, Op

from .kinds import ANCHORS, MOVING, QUANTISING, kinds_of
from .network import LAYOUTS, Network, kind_of
from .places import Place, best_place
from .precision import ONE_BIT, Rounded, explained_db, plain, sqnr_db

REACH = 14  # steps in the torch graph from the nodes of the inputs
RECOGNISED_DB = 10.0  # with a tenth of its power in noise no tensor is told from another
SIMILAR_DB = 6.0  # a node that resembles the tensor so much may be its place even if the kinds do not match
TRIES = 3  # nodes tried for an operation that is off
SUSPECTS = 8  # operations that are tried
PATIENCE = 10  # operations in a row that agree with nothing before one is suspected; a layer norm has 5 of its own
NORM = 20  # the same where none of them is a layer, which would have a counterpart; a group norm has 16 of its own
HORIZON = 10  # operations after the last suspect by which it is told which one was it


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
    closes: bool = False  # behind a layer without a counterpart, which it completes: its bias, its batch norm's shift
    guesses: list[Place] = field(default_factory=list)
    around: list[int] = field(default_factory=list)  # operations without a counterpart that its loss may come from


class Walk:
    def __init__(self, network: Network, inside: Inside) -> None:
        self.network, self.inside = network, inside
        self.maker = {key: step for op in inside.ops for key in op.outputs for step in [Step(op, key)]}
        self.steps = [step for step in self.maker.values() if step.key in inside.values]
        self.nodes: dict[str, fx.Node] = {}
        self.stood: dict[
            str, list[Tensor]
        ] = {}  # what stands for the node; a node may have several, as float and 8-bit
        self.nodes[inside.image], self.stood[inside.image] = network.image, network.images

    def run(self, progress: Callable[[Any], Any] = list) -> list[Step]:
        """All steps with what was found of them."""
        since: list[Step] = []  # operations that agreed with nothing, in a row
        for number, step in enumerate(progress(self.steps)):
            if self.look(step):
                since = []
            elif step.op.kind not in MOVING:
                since.append(step)
            layers = any(one.op.kind in ANCHORS for one in since)
            if len(since) >= (PATIENCE if layers else NORM):
                self.blame(number + 1)
                since = []
        while self.blame(len(self.steps)):
            pass
        return self.steps

    def look(self, step: Step) -> bool:
        """Whether the step agrees with a node; if not, it waits."""
        starts, region = self.behind(step)
        places = self.settle(step, starts, region)
        step.waiting = step.place is None
        if step.waiting:
            step.guesses = self.guesses(step, places, starts if step.op.kind in QUANTISING else [])
            return False
        step.closes = any(other.op.kind in ANCHORS for other in region)
        for other in region:
            other.waiting = False  # torch went around it and agreed: it only has no counterpart
        return True

    def blame(self, end: int) -> bool:
        """Find the step before `end` that makes the most of what follows agree if it is off; whether one was found.

        An error that enters at one step is in all that waits after it, so later suspects explain a part of what the
        right one explains: the most, and of equals the first, is it. Where nothing helps, the first that waits is
        off, unconfirmed, and the search is over.
        """
        waiting = [step for step in self.steps[:end] if step.waiting]
        suspects = [step for step in waiting if step.guesses][:SUSPECTS]
        if not suspects:
            return False
        last = self.steps.index(suspects[-1]) + HORIZON
        trials = [(self.trial(step, guess, last), step, guess) for step in suspects for guess in step.guesses]
        agreed, step, guess = max(trials, key=lambda trial: trial[0])
        if agreed == 0 and end < len(self.steps):
            return False
        if agreed == 0:
            step, guess = suspects[0], suspects[0].guesses[0]
        # layers with weights have a counterpart: one that waits before the culprit may be it, if a rewrite that counted
        # on what it does (a stream without mean) has spread the damage
        place = self.steps.index(step)
        before = [one for one in suspects if self.steps.index(one) < place and one.op.kind in ANCHORS]
        for one in before[:1]:
            self.accuse(one, one.guesses[0], confirmed=False)
            del self.nodes[one.key]
        self.accuse(step, guess, confirmed=agreed > 0)
        for other in self.steps[:place] if agreed else waiting:
            other.waiting = False
        for other in self.steps[place + 1 : end] if agreed else ():
            if other.place is None:
                self.look(other)
        return agreed > 0

    def accuse(self, step: Step, guess: Place, *, confirmed: bool) -> None:
        place, region = guess, self.behind(step)[1]
        step.place, step.own_db, step.least_db = place, place.sqnr_db, self.explained(step, place, region)
        step.off = step.own_db < step.least_db and not self.as_torch(step, place, region)
        step.confirmed, step.waiting = confirmed, False
        step.closes = any(other.op.kind in ANCHORS for other in region)
        step.around = [other.op.place for other in region if other.op.kind not in MOVING]
        self.stand_for(step, place)

    def trial(self, step: Step, guess: Place, last: int) -> int:
        """How many operations up to `last` agree if the step's value stands for the guessed node."""
        kept = dict(self.nodes), dict(self.stood), dict(self.network.given), dict(self.network.known)
        self.behind(step)
        self.stand_for(step, guess)
        agreed = 0
        after = {step.key}
        every = list(self.maker.values())
        end = every.index(self.steps[min(last, len(self.steps) - 1)])
        for other in every[every.index(step) + 1 : end + 1]:
            if not after & set(other.op.inputs):
                continue
            after.add(other.key)
            if other.place is not None or other.key not in self.inside.values:  # of 8-bit ones there are no values
                continue
            starts, region = self.behind(other)
            self.settle(other, starts, region)
            agreed += other.place is not None and other.op.kind not in MOVING
            other.place = None
        self.nodes, self.stood, self.network.given, self.network.known = kept
        return agreed

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
                if place.sqnr_db >= least or self.as_torch(step, place, region):
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
        return explained_db(
            seen, found, precision,
            terms=self.network.terms(place.node) + sum(other.op.kind not in MOVING for other in region),
            independent=self.network.independent(place.node, precision.weights is not None),
        )  # fmt: skip

    def as_torch(self, step: Step, place: Place, region: list[Step]) -> bool:
        """Whether the file, all in float32 here, is from the picture to this place about as exact as torch's float32.

        What torch loses depends on how its maps lie in memory: in a group norm 147 dB is left by one kernel, 111 dB by
        the other. So the model itself is asked, in both ways, and not only the operation on the file's own values.
        """
        if not all(plain(one.op.precision) for one in (step, *region)):
            return False
        model = self.network.model_value(place.node)
        exact = [place.view.there(v, v) for v in model]
        level = sqnr_db(exact, place.values) + ONE_BIT

        def lost(layout: torch.memory_format) -> float:
            values = self.network.single_value(place.node, layout)
            return sqnr_db(exact, [place.view.there(v, e) for v, e in zip(values, model, strict=True)])

        return any(level >= lost(layout) for layout in LAYOUTS)

    def stand_for(self, step: Step, place: Place) -> None:
        exact = self.network.value(place.node)
        self.nodes[step.key] = place.node
        self.stood[step.key] = [place.view.back(v, e) for v, e in zip(place.values, exact, strict=True)]
        self.network.give(place.node, self.stood[step.key])

    def guesses(self, step: Step, places: list[Place], starts: list[fx.Node]) -> list[Place]:
        """Where an operation that agrees with nothing most likely belongs: nodes of its kind, then similar ones.

        What only rounds belongs where its input does, one of `starts`. Each is seen as fits best, and as it is: with
        garbage in it no way of seeing fits better than another.
        """
        kinds = kinds_of(step.op.kind)
        near = [p for p in places if kind_of(p.node) in kinds or p.node in starts or p.sqnr_db >= SIMILAR_DB]
        near.sort(key=lambda p: -max(p.sqnr_db, SIMILAR_DB))  # stable sort: weak candidates stay nearest first
        candidates = []
        for place in near[:TRIES]:
            bare = best_place(self.network, place.node, self.inside.values[step.key], bare=True)
            alike = place.sqnr_db >= SIMILAR_DB
            candidates += [place] if place.view.words and alike else []
            candidates += [bare] if bare is not None and not (place.view.words and alike and bare.sqnr_db < 0) else []
        return candidates
