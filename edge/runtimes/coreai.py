"""Core AI (.aimodel, iOS 27): Apple's own runtime from the package coreai-core, on Linux too. It is beta.

Outputs are those of the runtime; times are this host's and never a phone's.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge.errors import InputError, install
from edge.runtimes import Outputs, check_images, checked_answers

T = TypeVar("T")

MODE = "core-ai"  # the one way in which a file is run
ENTRY, INPUT, ANSWERS, OUTPUT, MASK = "main", "image", "answers", "probabilities", "mask"
PROGRAM, DIGEST, METADATA = "main.mlirb", "main.hash", "metadata.json"
LARGEST = {PROGRAM: 512 * 2**20, DIGEST: 32, METADATA: 2**20}  # bytes
MAGIC = b"ML\xefR"  # MLIR bytecode
PATIENCE = 300  # seconds for the first opening of a file

# Opens a file and says what it takes and gives. In a process of its own, because a damaged program makes the runtime
# end the process that it is in.
FIRST_OPENING = """
import asyncio, json, sys
from coreai.authoring import AIModelAsset

def signature(function):
    desc = function.desc
    tensor = lambda t: [list(t.shape), str(t.dtype)]
    return {
        "inputs": {name: tensor(desc.input_descriptor(name)) for name in desc.input_names},
        "outputs": {name: tensor(desc.output_descriptor(name)) for name in desc.output_names},
        "states": list(desc.state_names),
    }

async def main(path, entry):
    asset = AIModelAsset.load(path)
    summary = asset.summary(include_statistics=True)
    if summary is None or entry not in summary.function_names:
        raise ValueError(f"no function {entry!r} in its program")
    async with asset.executable() as model:
        found = signature(model.load_function(entry))
    return found | {"stored": {str(name): int(count) for name, count in summary.storage_types}}

print("FOUND " + json.dumps(asyncio.run(main(*sys.argv[1:]))))
"""


class CoreAI:
    """One .aimodel with the tensor contract: `image` uint8 (1, S, S, 3) in, `probabilities` float32 (1, K) out.

    A network that finds the lesion gives `mask`, float32 (1, S, S, 1), as well. Some take `answers`, float32 (1, Q).
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.mode = Path(path), Path(path).name, MODE
        facts = check_aimodel(self.path)
        check_installed()
        signature = first_opening(self.path)
        shape, dtype = signature["inputs"].get(INPUT, [[], ""])
        answer = signature["outputs"].get(OUTPUT, [[], ""])[0]
        takes_answers = ANSWERS in signature["inputs"]
        second = signature["inputs"].get(ANSWERS, [[1, 0], "float32"])
        places = (second[0] or [0])[-1]
        self.gives_mask = MASK in signature["outputs"]
        mask = signature["outputs"][MASK][0] if self.gives_mask else None
        if (
            len(signature["inputs"]) != 1 + takes_answers or len(signature["outputs"]) != 1 + self.gives_mask
            or signature["states"]
            or len(shape) != 4 or not shape[1] or shape != [1, shape[1], shape[1], 3] or dtype != "uint8"
            or second != [[1, places], "float32"] or takes_answers != (places > 0)
            or len(answer) != 2 or not answer[1] or answer[0] != 1 or mask not in (None, [1, *shape[1:3], 1])
        ):  # fmt: skip
            raise InputError(
                f"{path}: expected an input {INPUT} (1, S, S, 3) of uint8, alone or with {ANSWERS} (1, Q) of float32, "
                f"and an output {OUTPUT} (1, K), alone or with {MASK} (1, S, S, 1), got {signature['inputs']} and "
                f"{signature['outputs']}; convert it with dermedge"
            )
        self.side, self.classes, self.answer_places = int(shape[1]), int(answer[1]), int(places)
        self.stored: dict[str, int] = signature["stored"]  # type -> values
        self.recipe = facts.get("dermedge.recipe")
        codes = (label.get("code") for label in facts.get("dermedge.labels", []) if isinstance(label, dict))
        self.labels = tuple(str(code) for code in codes)
        self.runner, self.opened = asyncio.Runner(), AsyncExitStack()
        try:
            self.array, self.engine = self.wait(self.open())
        except Exception as error:
            self.close()
            raise InputError(f"{path}: Core AI cannot open it ({first_line(error)}); convert it again") from error

    async def open(self) -> tuple[Any, Any]:
        from coreai.authoring import AIModelAsset
        from coreai.runtime import NDArray

        model = await self.opened.enter_async_context(AIModelAsset.load(self.path).executable())
        return NDArray, model.load_function(ENTRY)

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), in the order of `labels`, and masks."""
        check_images(images_u8, self.side, self.name)
        vectors = checked_answers(answers, len(images_u8), self.answer_places, self.name)
        rows = [
            self.wait(self.invoke(image[None], vector[None])) for image, vector in zip(images_u8, vectors, strict=True)
        ]
        probabilities = np.array([row[OUTPUT][0] for row in rows], np.float64)
        masks = np.array([row[MASK][0, ..., 0] for row in rows], np.float32) if self.gives_mask else None
        return Outputs(probabilities, masks)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """Always InputError: a file takes a picture's bytes."""
        raise InputError(f"{self.name} takes a picture's bytes, no other numbers; give a .tflite")

    async def invoke(self, image: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
        second = {ANSWERS: self.array(np.ascontiguousarray(answers))} if self.answer_places else {}
        answer = await self.engine({INPUT: self.array(np.ascontiguousarray(image)), **second})
        wanted = (OUTPUT, MASK) if self.gives_mask else (OUTPUT,)
        return {name: np.array(answer[name].numpy()) for name in wanted}  # copies: the runtime keeps its buffers

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return elsewhere(self.runner.run, work)

    def close(self) -> None:
        """Free the runtime's memory and what it unpacked on the disk."""
        self.wait(self.opened.aclose())
        elsewhere(self.runner.close)

    def shortcomings(
        self, *, recipe: str, side: int, labels: list[str], mask: bool = False, answers: int = 0
    ) -> list[str]:
        """What differs from the tensor contract and the recipe, in words; empty if nothing does."""
        wrong = []
        if self.answer_places != answers:
            wrong.append(f"takes answers of {self.answer_places} places, expected {answers}")
        if self.side != side:
            wrong.append(f"takes {self.side} x {self.side} pixels, expected {side} x {side}")
        if self.classes != len(labels):
            wrong.append(f"gives {self.classes} probabilities, expected {len(labels)}")
        if self.gives_mask != mask:
            wrong.append(f"gives {'a' if self.gives_mask else 'no'} mask, expected {'one' if mask else 'none'}")
        if list(self.labels) != labels:
            wrong.append(f"class labels are {', '.join(self.labels)}, expected {', '.join(labels)}")
        if self.recipe != recipe:
            wrong.append(f"metadata says recipe {self.recipe!r}, expected {recipe!r}")
        half = self.stored.get("Float16", 0) > self.stored.get("Float32", 0)
        if half != (recipe == "fp16"):
            wrong.append(f"most values are stored in {'half' if half else 'single'} precision, which {recipe} is not")
        return wrong


def elsewhere(function: Callable[..., T], *arguments: Any) -> T:
    """The result, from a thread of its own: in ours the event loop of a notebook may be running."""
    with ThreadPoolExecutor(1) as worker:
        return worker.submit(function, *arguments).result()


def missing(*, converting: bool = False) -> str | None:
    """Why .aimodel files cannot be run (or written) here, in one line; None where they can."""
    doing, names = "running", ["coreai.authoring", "coreai.runtime"]
    if converting:
        doing, names = "writing", [*names, "coreai_torch"]
    advice = f"{doing} .aimodel files needs Core AI: {install('coreai')}"
    try:
        for name in names:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"coreai", "coreai_torch"}:
            return advice
        return f"{advice} ({first_line(error)})"
    except Exception as error:  # a beta with a compiled half: whatever it says, it is not there
        return f"{advice} (what is installed does not load: {type(error).__name__}: {first_line(error)})"
    return None


def check_installed(*, converting: bool = False) -> None:
    """InputError that says what to install unless Core AI is here and loads."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coreai-torch takes the CPU build of a torch that it knows for an unknown one
        reason = missing(converting=converting)
    if reason:
        raise InputError(reason)


def check_aimodel(path: Path) -> dict[str, Any]:
    """The metadata of a .aimodel folder; InputError unless it holds what it should, whole and of bounded size."""
    if path.is_symlink() or not path.is_dir():
        raise InputError(f"no .aimodel folder at {path}; `python convert/to_coreai.py` writes them")
    parts = {part.name: part for part in path.iterdir()}
    if parts.keys() != LARGEST.keys():
        raise InputError(
            f"{path} is no .aimodel as dermedge writes them: expected {', '.join(LARGEST)}, "
            f"got {', '.join(sorted(parts)[:8]) or 'nothing'}; convert it again"
        )
    for name, limit in LARGEST.items():
        if parts[name].is_symlink() or not parts[name].is_file():
            raise InputError(f"{parts[name]} is no plain file; convert it again")
        if parts[name].stat().st_size > limit:
            raise InputError(f"{parts[name]} is larger than {limit} bytes; expected a phone model")
    program = parts[PROGRAM].read_bytes()
    if program[:4] != MAGIC:
        raise InputError(f"{parts[PROGRAM]} is no Core AI program (begins {program[:4]!r}, expected {MAGIC!r})")
    if hashlib.sha256(program).digest() != parts[DIGEST].read_bytes():
        raise InputError(f"{parts[PROGRAM]} is damaged: {DIGEST} has another SHA-256; convert it again")
    try:
        facts = json.loads(parts[METADATA].read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{parts[METADATA]} is not JSON ({first_line(error)}); convert it again") from error
    return own_facts(facts)


def own_facts(metadata: object) -> dict[str, Any]:
    """What conversion wrote beside Core AI's own fields; what is not of the expected kind is left out."""
    told = metadata.get("creatorDefinedMetadata") if isinstance(metadata, dict) else None
    facts = {name: value for name, value in (told if isinstance(told, dict) else {}).items() if isinstance(value, str)}
    try:
        labels = json.loads(facts.get("dermedge.labels", "[]"))
    except (ValueError, RecursionError):
        labels = []
    return {**facts, "dermedge.labels": labels if isinstance(labels, list) else []}


def first_opening(path: Path) -> dict[str, Any]:
    """What the file takes and gives, read in a process of its own; InputError if that ends badly."""
    command = [sys.executable, "-P", "-c", FIRST_OPENING, str(path), ENTRY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path}: Core AI did not open it within {PATIENCE} s; convert it again") from error
    answers = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    if done.returncode or not answers:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
        crashed = f"crashed, signal {-done.returncode}; " if done.returncode < 0 else ""
        raise InputError(f"{path}: Core AI cannot open it ({crashed}{said}); convert it again")
    return json.loads(answers[-1].removeprefix("FOUND "))


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["?"])[0][:200]
