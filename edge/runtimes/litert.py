"""LiteRT (TFLite): the phone's own runtime, three ways, on this machine.

Outputs are those of the runtime; times are this host's and never a phone's.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from edge.errors import InputError, did_you_mean, install
from edge.exporting import first_line
from edge.runtimes import Outputs, Refused, check_images, checked_answers
from edge.runtimes.engine import Engine, Input

# How a file can be run. XNNPACK is what phones use on the CPU; with fp16 forced it computes as ARMv8.2 and later do
# where a file allows it; the reference kernels are slow, plain loops and share no code with XNNPACK.
MODES = ("xnnpack", "xnnpack-fp16", "reference")
# Phones' own libraries, each set up by `dermedge setup` and run only when asked for: LiteRT and Android's TFLite on an
# emulated ARM processor, Android's for x86 by its C API and by Java, LiteRT.js in a browser, and earlier interpreters
# here and on ARM. Behind colons may stand a version and a processor: `android:2.12.0:cortex-a53`.
EARLIER = ("tflite-runtime", "tensorflow", "litert")
PHONES = ("arm64", "android", "android-x86_64", "android-java", "browser", *EARLIER)
XNNPACK_FORCE_FP16 = 0x4  # TFLITE_XNNPACK_DELEGATE_FLAG_FORCE_FP16
MAX_BYTES = 512 * 2**20
METADATA = b"dermedge"  # name of the entry with the manifest's facts
IDENTIFIER = b"TFL3"  # flatbuffer file identifier, at byte 4
ANSWERS = "answers"  # name of the second input


class LiteRT:
    """One .tflite file with the tensor contract: `image` (1, S, S, 3) in, `probabilities` (1, K) out, and from some
    networks `mask` (1, S, S, 1). Some take `answers` (1, Q) as well."""

    def __init__(
        self, path: str | Path, *, mode: str = "xnnpack", threads: int = 1, labels: Sequence[str] = ()
    ) -> None:
        path = Path(path)
        if threads < 1:
            raise InputError(f"a file runs on at least one thread, got {threads}")
        check_mode(mode)
        check_tflite(path)
        self.path, self.name, self.mode, self.labels = path, path.name, mode, tuple(labels)
        try:
            self.engine = engine_of(path, mode, threads)
        except InputError:
            raise
        except (RuntimeError, ValueError) as error:
            missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", str(error))
            if missing and mode == "reference":
                raise Refused(f"{path.name} in mode reference: LiteRT's plain kernels have no {missing[1]}") from error
            raise InputError(
                f"{path}: LiteRT cannot open it ({str(error).splitlines()[0]}); convert it again"
            ) from error
        self.image, self.side, self.answer_places = inputs_of(path, self.engine)
        self.answer, self.mask = outputs_of(path, self.engine, self.side)
        self.classes = self.engine.outputs[self.answer][1]

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), and masks, where the file gives them."""
        check_images(images_u8, self.side, self.name)
        return self.invoke(images_u8, answers)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """The same for float32 (N, S, S, 3) of any numbers, with nothing answered; InputError from a file that takes
        bytes."""
        check_images(images, self.side, self.name, dtype=np.float32)
        if self.image.dtype != np.float32:
            raise InputError(f"{self.name} takes bytes, no other numbers; give a file with a float32 input")
        return self.invoke(images, None)

    def invoke(self, images: np.ndarray, answers: np.ndarray | None) -> Outputs:
        rows, masks = [], []
        for image, vector in zip(
            images, checked_answers(answers, len(images), self.answer_places, self.name), strict=True
        ):
            tensors = [
                np.ascontiguousarray(image[None].astype(tensor.dtype))
                if tensor is self.image
                else np.ascontiguousarray(vector[None])
                for tensor in self.engine.inputs
            ]
            try:
                outputs = self.engine.invoke(tensors)
            except (RuntimeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{self.path}: LiteRT stops in it ({first_line(error)}); convert it again") from error
            rows.append(outputs[self.answer].reshape(-1))
            if self.mask is not None:
                masks.append(outputs[self.mask].reshape(self.side, self.side))
        return Outputs(np.array(rows, dtype=np.float64), np.array(masks) if self.mask is not None else None)

    def close(self) -> None:
        """Free the runtime's memory."""
        if hasattr(self.engine, "close"):
            self.engine.close()
        del self.engine


def on_phone(mode: str) -> bool:
    """Whether a mode is one of a phone's own libraries."""
    return mode.partition(":")[0] in PHONES


def check_mode(mode: str) -> None:
    """InputError for a mode that there is not."""
    if mode not in MODES and not on_phone(mode):
        near = did_you_mean(mode.partition(":")[0], MODES + PHONES)
        raise InputError(f"a .tflite file runs as {', '.join(MODES + PHONES)}; got {mode!r}{near}")


def engine_of(path: Path, mode: str, threads: int) -> Engine:
    """The file in a runtime. InputError for a mode that there is not; RuntimeError and ValueError of LiteRT's own."""
    check_mode(mode)
    if on_phone(mode):
        from edge.runtimes.phone import BROWSER, Phone, choice_of

        if choice_of(mode).library == BROWSER:
            from edge.runtimes.browser import Browser

            return Browser(path, threads)
        return Phone(path, mode, threads)
    return Compiled(path, threads) if mode == "xnnpack-fp16" else Interpreted(path, mode, threads)


def inputs_of(path: Path, engine: Engine) -> tuple[Input, int, int]:
    """The image, its side in pixels, and the places of `answers`, 0 where it has no such input; InputError for others.

    A file may have its inputs in any order: the second is known by its name.
    """
    images = [tensor for tensor in engine.inputs if len(tensor.shape) == 4]
    answers = [tensor for tensor in engine.inputs if tensor.name == ANSWERS]
    shape = images[0].shape if images else ()
    if (
        len(images) != 1 or len(answers) != len(engine.inputs) - 1
        or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3 or images[0].dtype not in (np.float32, np.uint8)
        or any(len(t.shape) != 2 or t.shape[0] != 1 or t.dtype != np.float32 for t in answers)
    ):  # fmt: skip
        came = ", ".join(f"{t.name} {t.shape} {np.dtype(t.dtype).name}" for t in engine.inputs)
        raise InputError(
            f"{path}: expected an input (1, S, S, 3) of float32 or uint8, beside it {ANSWERS} (1, Q) of float32 or "
            f"nothing; got {came}"
        )
    return images[0], shape[1], answers[0].shape[1] if answers else 0


def outputs_of(path: Path, engine: Engine, side: int) -> tuple[int, int | None]:
    """The places of probabilities and mask; InputError unless they are those of the contract."""
    outputs = [len(output) for output in engine.outputs]
    if sorted(outputs) not in ([2], [2, 4]) or any(
        output != (1, side, side, 1) for output in engine.outputs if len(output) == 4
    ):
        raise InputError(
            f"{path}: expected an output (1, K), beside it a mask (1, S, S, 1) or nothing; got "
            f"{', '.join(str(output) for output in engine.outputs)}"
        )
    return outputs.index(2), outputs.index(4) if 4 in outputs else None


class Interpreted:
    def __init__(self, path: Path, mode: str, threads: int) -> None:
        interpreter, resolvers = load_runtime()
        resolver = resolvers.BUILTIN_REF if mode == "reference" else resolvers.AUTO
        self.interpreter = interpreter(str(path), num_threads=threads, experimental_op_resolver_type=resolver)
        self.interpreter.allocate_tensors()
        inputs, answer = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.taken, self.places = [one["index"] for one in inputs], [one["index"] for one in answer]
        self.inputs = [Input(str(one["name"]), tuple(int(n) for n in one["shape"]), one["dtype"]) for one in inputs]
        self.outputs = [tuple(int(n) for n in one["shape"]) for one in answer]
        self.types = [one["dtype"] for one in answer]

    def invoke(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
        for place, value in zip(self.taken, tensors, strict=True):
            self.interpreter.set_tensor(place, value)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(place) for place in self.places]


class Compiled:
    """The CompiledModel interface, the only one through which Python reaches XNNPACK's flags."""

    def __init__(self, path: Path, threads: int) -> None:
        load_runtime()
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.cpu_options import CpuOptions
        from ai_edge_litert.options import Options

        plain = Interpreted(path, "xnnpack", threads)
        self.inputs, self.outputs, self.types = plain.inputs, plain.outputs, plain.types
        options = Options(cpu_options=CpuOptions(num_threads=threads, xnnpack_flags=XNNPACK_FORCE_FP16))
        self.model = CompiledModel.from_file(str(path), options=options)
        self.given, self.answer = self.model.create_input_buffers(0), self.model.create_output_buffers(0)

    def invoke(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
        for buffer, value in zip(self.given, tensors, strict=True):
            buffer.write(value)
        self.model.run_by_index(0, self.given, self.answer)
        # both interfaces count inputs and outputs as the file does
        return [
            buffer.read(prod(shape), kind).reshape(shape)
            for buffer, shape, kind in zip(self.answer, self.outputs, self.types, strict=True)
        ]


def labels_inside(path: Path) -> tuple[str, ...]:
    """Class codes that conversion wrote into the file, in output order; none of a file that dermedge did not write.

    They lie in the metadata entry `dermedge`, as JSON. What is damaged there counts as absent.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(path.read_bytes(), 0)
        for number in range(model.MetadataLength()):
            entry = model.Metadata(number)
            if entry.Name() == METADATA:
                facts = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
                return tuple(str(label["code"]) for label in facts["labels"])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, struct.error):
        return ()
    return ()


def load_runtime():
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise InputError(f"running .tflite files needs LiteRT: {install('litert')}") from error
    return Interpreter, OpResolverType


def check_tflite(path: Path) -> None:
    """InputError unless `path` is a .tflite file of bounded size."""
    if not path.is_file():
        raise InputError(f"no .tflite file at {path}; `python convert/to_tflite.py` writes them")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes; expected a phone model")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != IDENTIFIER:
        raise InputError(f"{path} is no .tflite file (bytes 4 to 8 are {head[4:]!r}, expected {IDENTIFIER!r})")
