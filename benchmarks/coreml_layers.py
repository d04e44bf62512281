"""How long the Core ML interpreter takes for recurrent layers, loops and lists, against the same in torch.

    python benchmarks/coreml_layers.py

One thread, one process, rounds interleaved; the shortest time of each, in time of this process, counts. A layer that
torch does not have is compared with torch's plain one of the same size, whose loop is compiled, and with the same layer
written in torch's operations; a loop with the same operations in Python, and a write into a list of 4096 places with
one into a list of 64. Prints a table and writes --out/coreml_layers.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.coreml_layers`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Callable
from typing import Any

from dermedge.console import entry, screen
from dermedge.flags import add_rounds
from edge.errors import GOOD, at_least_one
from edge.files import write_json
from edge.progress import track

from ._flags import add_out

Way = Callable[[], object]
SIZES = ((20, 1, 32), (50, 1, 128), (100, 4, 256))  # steps, batch, features and hidden size
WARM_UP = 3
LOOP_ROUNDS, LOOP_SIZE = 200, 64
SHORT, LONG = 64, 4096  # places of a list


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(p, "rounds of each")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        pairs = {name: pair for shape in SIZES for name, pair in recurrent(*shape).items()}
        pairs |= {"while_loop": loops(), f"list_write, {LONG} places": writes()}
        rows = []
        for name, (ours, theirs) in track(pairs.items(), "timing", len(pairs)):
            mine, right = shortest(ours, theirs, args.rounds)
            rows.append({"name": name, "ms": 1e3 * mine, "ratio": mine / right})
    write_json(args.out / "coreml_layers.json", {"rounds": args.rounds, "rows": rows})
    for row in rows:
        screen().print(f"{row['name']:54} {row['ms']:8.3f} ms  {row['ratio']:5.2f}", markup=False)
    return GOOD


def shortest(ours: Way, theirs: Way, rounds: int) -> tuple[float, float]:
    """Seconds of this process, of either way."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + rounds):
        for way, held in zip((ours, theirs), times, strict=True):
            begun = time.process_time()
            way()
            if number >= WARM_UP:
                held.append(time.process_time() - begun)
    return min(times[0]), min(times[1])


def recurrent(steps: int, batch: int, size: int) -> dict[str, tuple[Way, Way]]:
    import torch

    from edge.runtimes.coreml.ops.recurrent import gru, lstm, rnn

    x, h, peephole = torch.randn(steps, batch, size), torch.zeros(batch, size), torch.randn(3 * size)
    plain_lstm, plain_gru, plain_rnn = torch.nn.LSTM(size, size), torch.nn.GRU(size, size), torch.nn.RNN(size, size)
    for layer in (plain_lstm, plain_gru, plain_rnn):
        layer.get_parameter("bias_hh_l0").zero_()  # Core ML has one bias
    w, g, n = ([value.detach() for value in layer.parameters()] for layer in (plain_lstm, plain_gru, plain_rnn))

    def long(**options: Any) -> tuple[Way, Way]:
        return lambda: lstm(x, h, h, w[0], w[1], w[2], output_sequence=True, **options), lambda: plain_lstm(x)

    def by_hand(gate: Callable[[Any], Any], peepholes: tuple[Any, ...] = (), limit: float | None = None) -> object:
        """The LSTM as torch's operations spell it."""
        state, cell, states = h, h, []
        for product in torch.nn.functional.linear(x, w[0], w[2]):
            i, f, z, o = (product + state @ w[1].t()).chunk(4, 1)
            if peepholes:
                i, f = i + cell * peepholes[0], f + cell * peepholes[1]
            cell = gate(f) * cell + gate(i) * z.tanh()
            cell = cell if limit is None else cell.clamp(-limit, limit)
            state = gate(o + cell * peepholes[2] if peepholes else o) * cell.tanh()
            states.append(state)
        return torch.stack(states)

    def hard(sums: Any) -> object:
        return (0.2 * sums + 0.5).clamp(0, 1)

    limited, hardened = long(peephole=peephole, clip=5.0), long(recurrent_activation="hard_sigmoid")
    parts = peephole.chunk(3)

    def gated(**options: Any) -> tuple[Way, Way]:
        return lambda: gru(x, h, g[0], g[1], g[2], output_sequence=True, **options), lambda: plain_gru(x)

    def simple(**options: Any) -> tuple[Way, Way]:
        return lambda: rnn(x, h, n[0], n[1], n[2], output_sequence=True, **options), lambda: plain_rnn(x)

    rows = {
        "lstm": long(),
        "lstm, peepholes and a limit": limited,
        "the same, against torch's operations": (limited[0], lambda: by_hand(torch.sigmoid, parts, 5.0)),
        "lstm, hard sigmoid": hardened,
        "that, against torch's operations": (hardened[0], lambda: by_hand(hard)),
        "gru": gated(),
        "gru, reset after the product": gated(reset_after=True, input_bias=g[3]),
        "rnn": simple(),
        "rnn, sigmoid": simple(activation="sigmoid"),
    }
    return {f"{name} ({steps} x {batch} x {size})": pair for name, pair in rows.items()}


def loops() -> tuple[Way, Way]:
    """A loop of a product, an activation and a count, by the interpreter and in Python."""
    import torch

    from edge.runtimes.coreml.bind import bind
    from edge.runtimes.coreml.program import Block, Operation, Output, Program, Ref

    def op(kind: str, result: Output, **inputs: Any) -> Operation:
        return Operation(kind, result.name, inputs, (result,), 0)

    weight = torch.randn(LOOP_SIZE, LOOP_SIZE) / LOOP_SIZE**0.5
    count, x = Output("count", "INT32", ()), Output("x", "FLOAT32", (1, LOOP_SIZE))
    going, more = Output("going", "BOOL", ()), Output("more", "INT32", ())
    product, result = Output("product", "FLOAT32", (1, LOOP_SIZE)), Output("result", "FLOAT32", (1, LOOP_SIZE))
    limit, step = torch.tensor(LOOP_ROUNDS, dtype=torch.int32), torch.tensor(1, dtype=torch.int32)
    test = Block((count, x), (op("less", going, x=Ref("count"), y=limit),), ("going",))
    body = Block(
        (count, x),
        (
            op("add", more, x=Ref("count"), y=step),
            op("matmul", product, x=Ref("x"), y=weight),
            op("relu", result, x=Ref("product")),
        ),
        ("more", "result"),
    )
    loop = Operation(
        "while_loop", "loop", {"loop_vars": [Ref("start"), Ref("first")]},
        (Output("rounds", "INT32", ()), Output("last", "FLOAT32", (1, LOOP_SIZE))), 0, (test, body),
    )  # fmt: skip
    start = Output("start", "INT32", ()), Output("first", "FLOAT32", (1, LOOP_SIZE))
    (call,), _ = bind(Program(start, (loop,), ("rounds", "last")))
    values = {"start": torch.tensor(0, dtype=torch.int32), "first": torch.randn(1, LOOP_SIZE)}

    def plain() -> object:
        number, row = values["start"], values["first"]
        while number < limit:
            number, row = number + step, torch.relu(torch.matmul(row, weight))
        return row

    return lambda: call.run(values), plain


def writes() -> tuple[Way, Way]:
    """As many writes into a long list as into a short one, each into the newest version."""
    import torch

    from edge.runtimes.coreml.ops.lists import list_write, make_list

    value = torch.zeros(8)

    def into(length: int) -> Way:
        empty = make_list(init_length=length, dynamic_length=False, elem_shape=[8])

        def way() -> object:
            values = empty
            for number in range(SHORT):
                values = list_write(values, number, value)
            empty.held()  # the next round begins with it
            return values

        return way

    return into(LONG), into(SHORT)


if __name__ == "__main__":
    raise SystemExit(main())
