"""A convolution's padding in numbers where the network gives it as a word.

`valid` is none; `same` is d (k - 1) in all along an axis, which for an odd kernel is d (k - 1) / 2 on both sides. Other
passes know convolutions by their numbers only. An even kernel under `same` is padded unevenly and left alone.
"""

from __future__ import annotations

from torch import fx

from .._graph import aten, call, copy_graph, filled, finish, stands_for


def numbered_padding(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many convolutions were changed."""
    graph = copy_graph(graph)
    changed = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=aten.conv2d.padding)):
        x, weight, bias, stride, word, dilation, groups = filled(
            node, None, None, None, [1, 1], "valid", [1, 1], 1
        )  # fmt: skip
        reach = [d * (k - 1) for d, k in zip(both(dilation), weight.meta["val"].shape[2:], strict=True)]
        if word not in {"valid", "same"} or (word == "same" and any(r % 2 for r in reach)):
            continue
        padding = [0, 0] if word == "valid" else [r // 2 for r in reach]
        with graph.graph.inserting_before(node):
            new = call(
                graph, aten.conv2d.default, x, weight, bias, both(stride), padding, both(dilation), groups
            )  # fmt: skip
        stands_for(new, node)
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
        changed += 1
    return finish(graph), changed


def both(value) -> list[int]:
    return list(value) * (2 // len(value)) if isinstance(value, list | tuple) else [value, value]
