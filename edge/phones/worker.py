"""Answers for one .tflite, frame by frame, in a process of its own; what runner.c is for Android's library.

    python worker.py MODEL THREADS MODULE

MODULE has the class `Interpreter`: LiteRT's, tflite-runtime's or TensorFlow's. It runs in the emulated Python or in an
environment of its own, so that it imports nothing of dermedge and keeps to Python 3.11. The first line on standard
output is a JSON object with the package's version and name, type (the C API's number) and shape of inputs and outputs.
Then, for every set of raw input tensors on standard input, the raw output tensors. Exit code 3: the file was refused.
"""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np

TYPES = {"float32": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9, "float16": 10}  # TfLiteType


def main(path: str, threads: int, module: str) -> int:
    Interpreter = importlib.import_module(module).Interpreter
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    try:
        interpreter = Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return 3
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    facts = {
        name: [
            {"name": t["name"], "type": TYPES[np.dtype(t["dtype"]).name], "shape": t["shape"].tolist()} for t in tensors
        ]
        for name, tensors in (("inputs", inputs), ("outputs", outputs))
    }
    version = getattr(sys.modules[module.partition(".")[0]], "__version__", "")
    stdout.write(json.dumps({"version": version, "xnnpack": True, **facts}).encode() + b"\n")
    stdout.flush()
    while True:
        for tensor in inputs:
            size = int(np.prod(tensor["shape"])) * np.dtype(tensor["dtype"]).itemsize
            data = stdin.read(size)
            if len(data) < size:
                return 0
            interpreter.set_tensor(tensor["index"], np.frombuffer(data, tensor["dtype"]).reshape(tensor["shape"]))
        interpreter.invoke()
        for tensor in outputs:
            stdout.write(np.ascontiguousarray(interpreter.get_tensor(tensor["index"])).tobytes())
        stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
