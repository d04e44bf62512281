"""Collapse every chain of reshapes and transposes into the fewest transposes, none above rank 4.

A chain of reshape, permute, transpose, flatten, squeeze, … moves numbers and computes nothing. Written in atoms, the
factors into which its reshapes cut the axes, its whole effect is one permutation of atoms between two reshapes:

    x (shape) -> x as (a1, …, an) -> permuted -> y (shape)

Neighbours that stay neighbours are one atom, axes of length 1 are none. A permutation of more than four atoms is taken
in several steps; in each, runs of neighbouring atoms are glued to at most four axes and these are permuted. The
fewest steps are found by breadth-first search over the orders of the atoms (at most a few hundred). GPU delegates
take no tensor above rank 4.

Fires where the chain becomes shorter, loses a transpose, or loses a tensor above rank 4. A chain ends at a node that
something else than another link reads; a reshape that cuts across atoms ends it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, count, permutations
from math import prod

from torch import fx

from ..axes import MOVES, is_link, order_of
from ..graph import arguments, aten, call, copy_graph, finish, in_place_of

RANK = 4
MAX_ATOMS = 7  # 5040 orders; more do not occur, and such a chain is left alone


def rearrange(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many chains were replaced."""
    graph = copy_graph(graph)
    replaced = 0
    for node in list(graph.graph.nodes):
        if not is_link(node) or all(is_link(user) for user in node.users):
            continue
        chain = chain_to(node)
        source = arguments(chain[0])[0]
        plan = plan_for(source.meta["val"].shape, chain)
        if plan is None or not better(plan, chain):
            continue
        with in_place_of(graph, node):
            new = source
            for target, argument in plan:
                new = call(graph, target, new, list(argument))
        node.replace_all_uses_with(new)
        replaced += 1
    return finish(graph), replaced


def chain_to(node: fx.Node) -> list[fx.Node]:
    """The links that lead to `node`, first to last; those before a node that others read belong to that node."""
    chain = [node]
    while is_link(before := arguments(chain[0])[0]) and all(is_link(user) for user in before.users):
        chain.insert(0, before)
    return chain


def better(plan: list, chain: list[fx.Node]) -> bool:
    def moves(targets) -> int:
        return sum(target in MOVES for target in targets)

    ranks = [node.meta["val"].ndim for node in chain]
    before = (max(ranks) > RANK, moves(node.target for node in chain), len(chain))
    return (False, moves(target for target, _ in plan), len(plan)) < before


def plan_for(shape: Sequence[int], chain: list[fx.Node]) -> list[tuple] | None:
    """The calls, (target, argument) each, that do what the chain does; None where atoms do not explain it."""
    fresh = count()
    sizes: dict[int, int] = {}
    parts: dict[int, tuple[int, int]] = {}  # an atom that a reshape cut, and what it became

    def atom(size: int) -> int:
        number = next(fresh)
        sizes[number] = size
        return number

    start = [[atom(size)] if size != 1 else [] for size in shape]
    axes = start
    for link in chain:
        value = link.meta["val"]
        if link.target in MOVES:
            axes = [axes[i] for i in order_of(link)]
            continue
        cut = regroup([a for axis in axes for a in axis], value.shape, sizes, parts, atom)
        if cut is None:
            return None
        axes = cut

    def whole(atoms: list[int]) -> list[int]:
        return [b for a in atoms for b in (whole(list(parts[a])) if a in parts else [a])]

    before = whole([a for axis in start for a in axis])
    after = whole([a for axis in axes for a in axis])
    steps = steps_between(*glued(before, after, sizes))
    if steps is None:
        return None
    calls: list[tuple] = []
    current = tuple(shape)
    for grouped, order in steps:
        if grouped != current:
            calls.append((aten.reshape.default, grouped))
        calls.append((aten.permute.default, order))
        current = tuple(grouped[i] for i in order)
    wanted = tuple(chain[-1].meta["val"].shape)
    if current != wanted:
        calls.append((aten.reshape.default, wanted))
    return calls


def regroup(atoms: list[int], shape: Sequence[int], sizes: dict, parts: dict, atom) -> list[list[int]] | None:
    """The atoms dealt out to axes of the given lengths, cut where needed; None if an axis cuts across one."""
    left, axes = list(atoms), []
    for length in shape:
        axis: list[int] = []
        while (have := prod(sizes[a] for a in axis)) < length:
            if not left or length % have:
                return None
            first, wanted = left.pop(0), length // have
            if sizes[first] > wanted:
                if sizes[first] % wanted:
                    return None
                parts[first] = (atom(wanted), atom(sizes[first] // wanted))
                first, rest = parts[first]
                left.insert(0, rest)
            axis.append(first)
        if have != length:
            return None
        axes.append(axis)
    return axes if not left else None


def glued(before: list[int], after: list[int], sizes: dict[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes of the atoms in the order before, and the order after as places in it; neighbours that stay are glued."""
    place = {a: i for i, a in enumerate(before)}
    runs: list[list[int]] = []
    for a in after:
        if runs and place[a] == place[runs[-1][-1]] + 1:
            runs[-1].append(a)
        else:
            runs.append([a])
    ordered = sorted(runs, key=lambda run: place[run[0]])
    return (
        tuple(prod(sizes[a] for a in run) for run in ordered),
        tuple(ordered.index(run) for run in runs),
    )


@cache
def steps_between(sizes: tuple[int, ...], order: tuple[int, ...]) -> list[tuple[tuple, tuple]] | None:
    """The fewest (shape, permutation) steps of rank 4 or less from 0, 1, …, n - 1 to `order`.

    Of equally few, one whose last axis stays last in as many steps as can be: such copies move whole rows.
    """
    if len(sizes) > MAX_ATOMS:
        return None
    start = tuple(range(len(sizes)))
    reached: dict[tuple, list] = {start: []}
    frontier = [start]
    while order not in reached and frontier:
        shortest: dict[tuple, list] = {}
        for state in frontier:
            for bounds in cuts(len(state)):
                groups = [state[i:j] for i, j in zip((0, *bounds), (*bounds, len(state)), strict=True)]
                for way in permutations(range(len(groups))):
                    new = tuple(a for i in way for a in groups[i])
                    if new in reached:
                        continue
                    steps = [*reached[state], (tuple(prod(sizes[a] for a in g) for g in groups), way)]
                    if new not in shortest or rows_kept(steps) > rows_kept(shortest[new]):
                        shortest[new] = steps
        reached |= shortest
        frontier = list(shortest)
    return reached[order]


def cuts(length: int) -> list[tuple[int, ...]]:
    """All ways to cut a row of so many atoms into two to four runs."""
    return [c for n in range(1, RANK) for c in combinations(range(1, length), n)]


def rows_kept(steps: list) -> int:
    return sum(way[-1] == len(way) - 1 for _, way in steps)
