"""Whether `int8` is a chain in 8 bits from some operator on, and from which: by its answers and its time."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from edge.exporting import first_line
from edge.recipes import TFLITE
from edge.runtimes.timing import ratio_in_turn
from edge.scheme import Scheme

from .._aim import Aim
from .._curve import point
from .choose import NO_AIM, Judge, answers, keeps_budget
from .layers import WANTED_SHARE, Modules
from .quantise import shipped
from .whole import Chain, chain_weights
from .whole_weights import WholeWeights

log = logging.getLogger("dermedge")

GATE_DB = TFLITE["int8"].gate.median_sqnr_db or 0.0
FASTER = 0.95  # of the other file's time that it may take at most


def with_chain(
    scheme: Scheme,
    content: bytes,
    weights: WholeWeights,
    others: bytes,
    judging: np.ndarray,
    modules: Modules,
    *,
    aim: Aim = NO_AIM,
) -> Scheme:
    """The scheme with chains that are in 8 bits from some operator on as further points of its curve.

    The longest that keeps what the gate of `aim` asks for and takes less time here than the file that was is chosen:
    both in the form that is shipped. The point of each that was timed has its `time_ratio`, so that a choice that
    another machine would make otherwise can be seen. `content`: the float file; `others`: the file of the scheme's
    layers; `judging`: uint8 images (N, S, S, 3).
    """
    limit = aim.gate.median_sqnr_db or GATE_DB
    judge = Judge(content, judging)
    floats, on_grid = weights.floats(content), weights.on_grid(content)
    known = {layer.tensor: layer.alone_db for layer in scheme.layers}
    for begin in Chain(floats).beginnings():
        chain = Chain(chain_weights(floats, on_grid, begin))
        try:
            file = shipped(chain.written(scheme.ranges, begin=begin))
        except (ValueError, KeyError, RuntimeError) as error:  # of the quantiser, at an operator of some network
            log.info(f"int8: no chain in 8 bits, as ai-edge-quantizer stops: {first_line(error)}")
            break
        layers = chain.layers(scheme.ranges, modules, begin=begin)
        outputs, milliseconds = answers(file, judge.images)
        last = point(layers, judge.wanted, outputs, judge.total)
        last |= {"bytes": len(file), "host_ms": round(milliseconds, 3)}
        faithful = last["macs_8bit"] >= WANTED_SHARE and keeps_budget(last, limit)
        if faithful:
            last["time_ratio"] = round(time_ratio(file, others, judge.images[0]), 3)
        scheme = replace(scheme, curve=(*scheme.curve, last))
        if faithful and last["time_ratio"] <= FASTER:
            layers = [replace(layer, alone_db=known[layer.tensor]) for layer in layers]
            return replace(scheme, layers=tuple(layers), chosen=len(scheme.curve) - 1, chain_from=begin)
    return scheme


def time_ratio(content: bytes, other: bytes, image: np.ndarray) -> float:
    """Processor time of a file by another's on one thread, both in turn."""
    from ai_edge_litert.interpreter import Interpreter

    runs = []
    for file in (content, other):
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]
        interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
        runs.append(interpreter)
    new, old = runs
    return ratio_in_turn(lambda _: new.invoke(), lambda _: old.invoke(), own_process=True)
