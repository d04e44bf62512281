"""One file in a process of its own: milliseconds of an inference for every line on standard input, then its memory.

    python edge/questions/zoo/worker.py FILE THREADS

The one module below the commands that prints: what it prints is the protocol of a process of its own, which
`edge.questions.zoo.rounds` starts and reads. It imports nothing of dermedge, so that the memory it reports is that of
the interpreter, NumPy, the runtime and the file. The last line holds two numbers of bytes: the resident set's
high-water mark before the file was opened and at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np


def main(path: str, threads: int) -> None:
    pin(threads)
    from ai_edge_litert.interpreter import Interpreter

    before = peak_memory()
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(given["index"], picture(given["shape"], given["dtype"]))
    for _ in sys.stdin:
        begun = time.perf_counter()
        interpreter.invoke()
        print(1e3 * (time.perf_counter() - begun), flush=True)
    print(before, peak_memory())


def pin(threads: int) -> None:
    """Stay on as many cores as there are threads; they inherit it. Where the system has no such call: do nothing."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def picture(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Noise of values 0..255 in the type that a file asks for: float32, or uint8 as it comes from a camera."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).astype(dtype)


def peak_memory() -> int:
    """High-water mark of this process's resident set, bytes.

    Linux: from /proc, because `ru_maxrss` there starts with the memory of the process that started this one.
    """
    try:
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
