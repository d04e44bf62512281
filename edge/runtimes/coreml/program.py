"""A saved ML program as plain objects: inputs, operations in order, outputs. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from edge.errors import InputError
from edge.files import read_json

from .messages import messages
from .values import (
    ELEMENTS,
    FLOATS,
    MAX_VALUES,
    Sides,
    Value,
    Weights,
    closed,
    constant,
    element_of,
    shape_of,
    sides_of,
)

MANIFEST = "Manifest.json"
MAX_SPEC_BYTES = 256 * 2**20
MAX_OPERATIONS = 200_000
# What other models are, and what to do about them.
AGAIN = "; ML programs (iOS 15 and later) are run here"
BEFORE_IOS_15 = (
    f"a neural network, the format of before iOS 15{AGAIN}: convert the network that it was made of again, with "
    "coremltools' convert_to='mlprogram'"
)
OTHER_KINDS: dict[str | None, str] = {
    "neuralNetwork": BEFORE_IOS_15,
    "neuralNetworkClassifier": BEFORE_IOS_15,
    "neuralNetworkRegressor": BEFORE_IOS_15,
    "pipeline": f"a pipeline of models{AGAIN}: open it with dermedge.coreml.load",
    "pipelineClassifier": f"a pipeline of models{AGAIN}: open it with dermedge.coreml.load",
    "pipelineRegressor": f"a pipeline of models{AGAIN}: open it with dermedge.coreml.load",
    None: f"nothing{AGAIN}: copy or convert it again",
}
OPSETS = ("CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9")  # iOS 15, 16, 17, 18, 26


@dataclass(frozen=True)
class Ref:
    """A value that an operation or an input of the program makes, by name."""

    name: str


Argument = Ref | Value | list  # a list holds Refs and Values: an argument that takes several tensors


@dataclass(frozen=True)
class Output:
    name: str
    element: str  # MIL's name of the element type, STRING among them
    sides: Sides | None  # None where not even their number is stated

    @property
    def shape(self) -> tuple[int, ...] | None:
        """None where any side is open."""
        return closed(self.sides)

    @property
    def words(self) -> str:
        """As `float32 (1, ?, 8)`."""
        if self.sides is None:
            return self.element.lower()
        sides = ", ".join("?" if n is None else str(n) for n in self.sides)
        return f"{self.element.lower()} ({sides}{',' if len(self.sides) == 1 else ''})"

    @property
    def is_float(self) -> bool:
        return self.element in FLOATS


@dataclass(frozen=True)
class Block:
    """Operations in order: the body of a function, or what an operation of control flow holds."""

    inputs: tuple[Output, ...]
    operations: tuple[Operation, ...]  # constants are not among them
    outputs: tuple[str, ...]
    constants: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    kind: str  # MIL op type
    name: str
    inputs: dict[str, Argument]
    outputs: tuple[Output, ...]
    place: int  # in its block, from 0
    blocks: tuple[Block, ...] = ()  # they see what their surroundings have made before
    within: str = ""  # kind and name of the operation whose block it stands in


@dataclass(frozen=True)
class Program(Block):
    """One function of a saved program; `inputs` are what `predict` is handed."""

    opset: str = OPSETS[-1]
    states: tuple[Output, ...] = ()  # what the function keeps from one prediction to the next


def read_spec(path: Path) -> Any:
    """The Model message of a saved ML program; InputError if it is not one."""
    spec = read_model(path)
    if spec.WhichOneof("Type") != "mlProgram":
        raise InputError(f"{path} holds {kind_of(spec)}")
    return spec


def kind_of(spec: Any) -> str:
    """What a Model message that is no ML program holds, and what to do about it."""
    kind = spec.WhichOneof("Type")
    return OTHER_KINDS.get(kind, f"a {kind}, which is no ML program")


def read_model(path: Path) -> Any:
    """The Model message of a saved package of any kind; InputError if it is not one."""
    spec_file = path / listed(path) if path.is_dir() else path
    if not spec_file.is_file():
        raise InputError(f"{path} is no whole .mlpackage: {spec_file} is missing; copy or convert it again")
    if spec_file.stat().st_size > MAX_SPEC_BYTES:
        raise InputError(f"{spec_file} is larger than {MAX_SPEC_BYTES} bytes; expected the program of a phone model")
    model = messages("Model_pb2").Model
    from google.protobuf.message import DecodeError

    spec = model()
    try:
        spec.ParseFromString(spec_file.read_bytes())
    except DecodeError as error:
        raise InputError(f"{spec_file} is no Core ML model ({error}); copy or convert it again") from error
    return spec


def listed(package: Path) -> Path:
    """Where the package's list of contents says that the model is; InputError if there is no such list, as in Core ML.

    Weights lie beside the model.
    """
    file = package / MANIFEST
    facts = read_json(file, expected="the list of contents of a Core ML package, which is not whole without it")
    version = str(facts.get("fileFormatVersion", ""))
    if version.split(".")[0] != "1":
        raise InputError(f"{file}: fileFormatVersion is {version or 'missing'}; 1 is known. Save the package again")
    entries, root = facts.get("itemInfoEntries"), facts.get("rootModelIdentifier")
    entry = entries.get(root) if isinstance(entries, dict) and isinstance(root, str) else None
    place = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(place, str) or not (package / "Data" / place).resolve().is_relative_to(package.resolve()):
        raise InputError(f"{file} does not say where in the package the model is; copy or convert it again")
    return Path("Data", place)


def read_program(spec: Any, weights: Weights, function_name: str | None = None) -> Program:
    """A function of the program: the named one, or the one that the package calls its default.

    InputError for what is not supported, such as an unknown op set.
    """
    functions = spec.mlProgram.functions
    name = (spec.description.defaultFunctionName or "main") if function_name is None else function_name
    if name not in functions:
        raise InputError(
            f"the program has no function {name or repr(name)}; it has {', '.join(sorted(functions)) or 'none'}"
        )
    function = functions[name]
    if function.opset not in OPSETS:
        raise InputError(f"the program is of op set {function.opset}; known are {', '.join(OPSETS)} (iOS 15 to 26)")
    if function.opset not in function.block_specializations:
        raise InputError(f"the program has no block for its own op set {function.opset}")
    message = function.block_specializations[function.opset]
    if (count := operations_in(message)) > MAX_OPERATIONS:
        raise InputError(f"the program has {count} operations, more than {MAX_OPERATIONS}")
    features = tuple(described(value) for value in function.inputs if not is_state(value))
    states = tuple(described_state(value) for value in function.inputs if is_state(value))
    block = read_block(message, weights, features, {feature.name for feature in (*features, *states)})
    return Program(block.inputs, block.operations, block.outputs, block.constants, function.opset, states)


def operations_in(message: Any) -> int:
    """The operations of a block, with those of the blocks inside it."""
    return len(message.operations) + sum(operations_in(inner) for op in message.operations for inner in op.blocks)


def read_block(message: Any, weights: Weights, inputs: tuple[Output, ...], known: set[str], within: str = "") -> Block:
    """`known`: the names that the block's operations may use before they have made any themselves."""
    constants: dict[str, Value] = {}
    operations = []
    known = known | {value.name for value in inputs}
    for place, op in enumerate(message.operations):
        outputs = tuple(described(value) for value in op.outputs)
        if op.type == "const":
            if len(outputs) != 1:
                raise InputError(f"op {place}, const, gives {len(outputs)} values, expected one")
            check_constant(op.attributes["val"].type, outputs[0], place)
            constants[outputs[0].name] = constant(op.attributes["val"], weights)
        else:
            arguments = {
                key: constant(value, weights) for key, value in op.attributes.items() if key not in {"name", "val"}
            } | {key: argument(value, weights) for key, value in op.inputs.items()}
            check_known(arguments, known, op.type, place)
            name = label(op, outputs)
            inside = f"{op.type} ({name})"
            blocks = tuple(
                read_block(inner, weights, tuple(described(value) for value in inner.inputs), known, inside)
                for inner in op.blocks
            )
            operations.append(Operation(op.type, name, arguments, outputs, place, blocks, within))
        known |= {output.name for output in outputs}
    missing = [name for name in message.outputs if name not in known]
    if missing:
        owner = f"a block of {within}" if within else "the program"
        raise InputError(f"{owner} has an output {missing[0]}, which is made by no operation")
    return Block(inputs, tuple(operations), tuple(message.outputs), constants)


def check_constant(kind: Any, stated: Output, place: int) -> None:
    """InputError for a constant whose value is of another type or shape than the program states of it."""
    if kind.WhichOneof("type") == "tensorType":
        value = Output(stated.name, element_of(kind.tensorType), sides_of(kind.tensorType))
        if value != stated:
            raise InputError(
                f"op {place}, const: {stated.name} is stated to be {stated.words}, its value is {value.words}; "
                "convert the model again"
            )


def label(op: Any, outputs: tuple[Output, ...]) -> str:
    if "name" in op.attributes:
        names = op.attributes["name"].immediateValue.tensor.strings.values
        if names:
            return str(names[0])
    return outputs[0].name if outputs else str(op.type)


def where(operation: Operation) -> str:
    inside = f" in {operation.within}" if operation.within else ""
    return f"op {operation.place}{inside}, {operation.kind} ({operation.name})"


def is_state(value: Any) -> bool:
    return bool(value.type.WhichOneof("type") == "stateType")


def described(value: Any) -> Output:
    kind = value.type.WhichOneof("type")
    if kind == "dictionaryType":  # what classify gives: label -> probability
        return Output(value.name, "DICTIONARY", None)
    if kind == "listType":  # what make_list gives
        return Output(value.name, "LIST", None)
    if kind != "tensorType":
        raise InputError(f"{value.name} is a {kind}; tensors, lists and the states of a function are known here")
    return Output(value.name, element_of(value.type.tensorType), sides_of(value.type.tensorType))


def described_state(value: Any) -> Output:
    """InputError for a state that is no number or tensor of a closed shape; Core ML allows no other."""
    wrapped = value.type.stateType.wrappedType
    if wrapped.WhichOneof("type") != "tensorType":
        raise InputError(f"the state {value.name} holds a {wrapped.WhichOneof('type')}; only tensors can be kept")
    shape, element = shape_of(wrapped.tensorType), element_of(wrapped.tensorType)
    if shape is None or prod(shape) > MAX_VALUES or element not in ELEMENTS:
        raise InputError(
            f"the state {value.name} is {element} of shape {shape}; expected numbers of a closed shape of at most "
            f"{MAX_VALUES} values"
        )
    return Output(value.name, element, shape)


def argument(value: Any, weights: Weights) -> Argument:
    """One input of an operation: a name, a value written on the spot, or several of them."""
    items = [
        Ref(item.name) if item.WhichOneof("binding") == "name" else constant(item.value, weights)
        for item in value.arguments
    ]
    return items[0] if len(items) == 1 else items


def check_known(inputs: dict[str, Argument], known: set[str], kind: str, place: int) -> None:
    for key, value in inputs.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Ref) and item.name not in known:
                raise InputError(f"op {place}, {kind}: its {key} is {item.name}, which nothing before it makes")
