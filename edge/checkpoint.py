"""A trained model: weights of a network that dermedge knows, or a whole network as an exported program. Never a pickle.

On disk it is `<stem>.safetensors` or `<stem>.pt2`, and `<stem>.json` with everything else.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import InputError, did_you_mean
from edge.files import moved_into_place, read_json, sha256, write_json
from edge.labels import Label, from_json, to_json
from edge.manifest import questions_of
from edge.models import MODELS, SIDE_MULTIPLE, check_state, create_model, family_name
from edge.paths import refuse_compiled
from edge.program import SUFFIX, from_bytes
from edge.questionnaire import Question, length_of, question_json
from edge.weight_files import FOREIGN_SUFFIXES, MAX_WEIGHT_BYTES, as_float32, read_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.models.deployed import Deployed

SCHEMA = "dermedge/checkpoint/1"  # weights of a model that dermedge knows
PROGRAM_SCHEMA = "dermedge/checkpoint-program/1"  # a network of its own
# The same with questions, and what their answers add; written only for those, so that older dermedge read the others.
ANSWERS_SCHEMA = "dermedge/checkpoint/2"
PROGRAM_ANSWERS_SCHEMA = "dermedge/checkpoint-program/2"
ANSWERS_TENSOR = "answers.weight"  # among the weights of a network
LARGEST_LOG_ODDS = 100.0  # of one place in `answers`
MIN_SIDE, MAX_SIDE = 16, 1024  # pixels
NAME = "[a-z0-9_]{1,64}"  # of a model or a family
FOREIGN = "foreign"  # the family of networks that dermedge does not know
GIVES = ("logits", "probabilities")
SHIPPED = Path(__file__).parent / "weights"
PATIENTS_UNKNOWN = "patients_unknown"  # what a recipe says of a network that lists no patients
UNTRAINED = "untrained"  # how files with random weights are called, and what their recipe says


@dataclass(frozen=True)
class Preprocess:
    """What stands between the uint8 square of `edge.preprocess` and the network; it ends up inside the graph."""

    version: str  # of the crop and resize
    side: int = 256  # pixels
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # RGB, of values in [0, 1]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Checkpoint:
    model: str
    labels: tuple[Label, ...]
    preprocess: Preprocess
    state: dict[str, Tensor]
    temperature: float = 1.0  # logits are divided by it before the softmax
    data: list[dict] = field(default_factory=list)  # one `PhotoSet.summary` with its sha256 per training set
    # domain -> {"patients": [...], "images": [...]}
    trained: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    held_back: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # not trained on, but gave the temperature
    unseen: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)  # how it was trained
    versions: dict[str, str] = field(default_factory=dict)
    sha256: str = ""  # of the weight file or the program, once written or read
    program: bytes = field(default=b"", repr=False)  # the exported network, of one that dermedge does not know
    gives: str = "logits"  # what the network returns: logits, or probabilities
    own_family: str = ""  # of a network that dermedge does not know: a name for its kind
    questions: tuple[Question, ...] = ()  # that a person can answer beside the picture
    # float32 (K, Q): what each place of `answers` adds to the logits; the file's SHA-256 tells one from another
    answers_weight: Tensor | None = field(default=None, compare=False, repr=False)
    live: nn.Module | None = field(default=None, compare=False, repr=False)  # the same network, as it was handed over
    path: Path | None = field(default=None, compare=False)  # of the weights, where they were read from a file

    @property
    def learned(self) -> bool:
        """Whether its answers mean something: it was trained here, or handed over as trained."""
        return bool(self.trained) or (bool(self.program) and not self.untrained)

    @property
    def lists_no_patients(self) -> bool:
        """Whether it is a network from elsewhere: trained, and without a list of the patients who trained it."""
        return not (self.trained or self.held_back or self.unseen) and not self.untrained

    @property
    def patients_unknown(self) -> bool:
        """Whether patients may have trained it that it does not list: itself, or a network that it started from.

        Published weights without a last layer (no `labels`) say so in their recipe, where they are not ImageNet's.
        """
        return (bool(self.labels) and self.lists_no_patients) or says_patients_unknown(self.recipe)

    @property
    def family(self) -> str:
        """The family of the model, `foreign` for a network that dermedge does not know."""
        return self.own_family or family_name(self.model)

    @property
    def untrained(self) -> dict | None:
        """Where the random weights come from, if `convert … --untrained` made them; their answers mean nothing."""
        return self.recipe.get(UNTRAINED)

    def network(self) -> nn.Module:
        """The network with these weights, in evaluation mode: normalised RGB (N, 3, S, S) -> logits (N, K).

        Probabilities instead where `gives` says so; of a network with masks (logits, mask logits (N, 1, S, S)).
        """
        if self.live is not None:
            return self.live.eval()
        if self.program:
            return from_bytes(self.program, where=f"the network of {self.model}")
        net = create_model(self.model, len(self.labels))
        net.load_state_dict(self.state)
        return net.eval()

    @property
    def log_odds(self) -> tuple[tuple[float, ...], ...] | None:
        """What a 1 in each place of `answers` adds to the logarithm of each class's odds, (K, Q); None: no answers."""
        if self.answers_weight is None:
            return None
        weight = self.answers_weight.double() / (1.0 if self.gives == "probabilities" else self.temperature)
        return tuple(tuple(float(share) for share in row) for row in weight.float())

    def check_takes_answers(self) -> None:
        """InputError where the checkpoint was not fitted to answers."""
        if self.answers_weight is None:
            raise InputError(
                f"{self.model} takes no answers beside the picture; leave `answers` out, or fit some to it "
                "(docs/answers.md)"
            )

    def deployed(self, *, layout: str, answers: bool = False) -> Deployed:
        """The network as phones get it, in evaluation mode: RGB 0..255 in, calibrated probabilities out.

        `layout` "NHWC" takes float32 (1, S, S, 3) as TFLite does, "NCHW" (1, 3, S, S) as Core ML does. With `answers`
        there is a second input, float32 (1, Q); without it the same network with nothing answered. InputError where the
        checkpoint was not fitted to answers.
        """
        from edge.models.deployed import Deployed

        if answers:
            self.check_takes_answers()
        pre = self.preprocess
        net = self.network()
        return Deployed(
            net, mean=pre.mean, std=pre.std, temperature=self.temperature, layout=layout, gives=self.gives,
            answers=self.answers_weight if answers else None,
        ).eval()  # fmt: skip


def says_patients_unknown(recipe: Any) -> bool:
    """Whether a recipe says it, or that of a checkpoint that was started from, at any depth."""
    while isinstance(recipe, dict):
        if recipe.get(PATIENTS_UNKNOWN):
            return True
        init = recipe.get("init")
        recipe = init.get("recipe", {}) if isinstance(init, dict) else None
    return False


def as_program(checkpoint: Checkpoint, net: nn.Module) -> Checkpoint:
    """The checkpoint of a network that dermedge does not know, with the trained `net` in it as an exported program."""
    from edge.program import to_bytes

    program = to_bytes(net, checkpoint.preprocess.side)
    digest = hashlib.sha256(program).hexdigest()
    return replace(checkpoint, state={}, program=program, own_family=FOREIGN, live=net, sha256=digest)


def versions_here() -> dict[str, str]:
    names = ("dermedge", "torch", "numpy", "opencv-python-headless", "Pillow", "lightning-fabric", "scikit-learn")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def save(checkpoint: Checkpoint, stem: str | Path) -> None:
    """Write `<stem>.safetensors` (or `<stem>.pt2`, the network itself), then `<stem>.json` that carries its hash.

    Tensors are written in the precision that they have.
    """
    from safetensors.torch import save as to_bytes

    stem = Path(stem)
    weights = stem.with_suffix(SUFFIX if checkpoint.program else ".safetensors")
    answers = checkpoint.answers_weight
    tensors = checkpoint.state if answers is None else {**checkpoint.state, ANSWERS_TENSOR: answers}
    with moved_into_place(weights) as path:
        # as bytes, so that a full disk is Python's OSError and the file gets the usual permissions
        path.write_bytes(
            checkpoint.program or to_bytes({key: value.detach().contiguous().cpu() for key, value in tensors.items()})
        )
    own = {
        "schema": PROGRAM_SCHEMA if answers is None else PROGRAM_ANSWERS_SCHEMA,
        "model": checkpoint.model,
        "family": checkpoint.family,
        "gives": checkpoint.gives,
        **({} if answers is None else {"answers_weight": answers.tolist()}),
    }
    known = {"schema": SCHEMA if answers is None else ANSWERS_SCHEMA, "model": checkpoint.model}
    write_json(
        stem.with_suffix(".json"),
        {
            **(own if checkpoint.program else known),
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "classes": to_json(checkpoint.labels),
            "preprocess": asdict(checkpoint.preprocess),
            "temperature": checkpoint.temperature,
            **(
                {"questions": [question_json(question) for question in checkpoint.questions]}
                if answers is not None
                else {}
            ),
            "metrics": checkpoint.metrics,
            "recipe": checkpoint.recipe,
            "versions": checkpoint.versions or versions_here(),
            "data": checkpoint.data,
            "trained": checkpoint.trained,
            "held_back": checkpoint.held_back,
            "unseen": checkpoint.unseen,
        },
    )


def shipped_models() -> tuple[str, ...]:
    """The models whose checkpoints come with dermedge, in the order of `MODELS`."""
    return tuple(model for model in MODELS if (SHIPPED / f"{model}.safetensors").is_file())


def shipped(model: str) -> Path:
    """The checkpoint of `model` that comes with dermedge; InputError if there is none."""
    family_name(model)  # an unknown name is told apart from one that is not shipped
    path = SHIPPED / f"{model}.safetensors"
    if not path.is_file():
        have = ", ".join(shipped_models()) or "none"
        raise InputError(
            f"no checkpoint of {model} comes with dermedge (there is: {have}); "
            f"train one with `python train/train.py --model {model} --data …` and give it as `checkpoint`, or see "
            f"its size and speed with random weights: `python convert/to_tflite.py --model {model} --untrained`"
        )
    return path


def placed(path: str | Path) -> tuple[Path, Path]:
    """The weights (.safetensors or .pt2) and the description (.json) of the checkpoint that `path` names.

    InputError if no weights are there, or those of another house; nothing is read.
    """
    path = Path(path)
    if path.suffix in FOREIGN_SUFFIXES:
        raise InputError(
            f"{path} is a foreign checkpoint; read it with `dermedge import-upstream --model … {path}` "
            "(weights only, nothing in it is run)"
        )
    refuse_compiled(path)
    if path.suffix in {".tflite", ".mlpackage", ".aimodel", ".onnx"}:
        raise InputError(
            f"{path} is a file for phones and no checkpoint; `dermedge.open_model` opens it in Python, and "
            "`dermedge predict --with` on the command line"
        )
    if path.is_dir():
        inside = [path / f"checkpoint{suffix}" for suffix in (".safetensors", SUFFIX)]
        path = next((weights for weights in inside if weights.is_file()), path)
    described = path.with_suffix(".json")
    program = path.suffix == SUFFIX or (path.suffix == ".json" and path.with_suffix(SUFFIX).is_file())
    weights = path.with_suffix(SUFFIX if program else ".safetensors")
    if not weights.is_file():
        place = path if path.is_dir() else path.parent
        names = sorted(file.name for suffix in (".safetensors", SUFFIX) for file in place.glob(f"*{suffix}"))
        raise InputError(
            f"no checkpoint at {weights}; give `checkpoint` the .safetensors or .pt2 file that training wrote"
            + (f" ({place} holds {', '.join(names[:5])})" if names else "")
        )
    return weights, described


def load(path: str | Path) -> Checkpoint:
    """Read `<stem>.safetensors` with its `<stem>.json`; either name may be given. Weights come as float32.

    Raises InputError that names the file and the way out: missing, cut off, a foreign format, another
    schema, weights that are not those the JSON describes, or that do not fit the model.
    """
    weights, described = placed(path)
    program = weights.suffix == SUFFIX
    facts = read_json(described, expected=f"the description that belongs to {weights.name}")
    schemas = (PROGRAM_SCHEMA, PROGRAM_ANSWERS_SCHEMA) if program else (SCHEMA, ANSWERS_SCHEMA)
    if facts.get("schema") not in schemas:
        raise InputError(f"{described}: expected schema {' or '.join(schemas)}, got {facts.get('schema')!r}")
    state = {} if program else read_weights(weights)
    digest = sha256(weights)
    if not isinstance(facts.get("weights"), dict) or digest != facts["weights"].get("sha256"):
        raise InputError(
            f"{weights} is not the file that {described.name} describes (its SHA-256 differs); copy both files together"
        )
    try:
        model, temperature = str(facts["model"]), float(facts["temperature"])
        pre = facts["preprocess"]
        mean, std = (tuple(float(v) for v in pre[k]) for k in ("mean", "std"))
        preprocess = Preprocess(str(pre["version"]), int(pre["side"]), mean, std)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{described}: the field {error} is missing or malformed") from error
    if not program and model not in MODELS:
        raise InputError(
            f"{described}: unknown model {model!r}{did_you_mean(model, MODELS)}; known: {', '.join(MODELS)}"
        )
    in_range = all(abs(value) < 1e3 for value in mean) and all(0 < value < 1e3 for value in std)
    if not (0.01 <= temperature <= 100 and len(mean) == len(std) == 3 and in_range):
        raise InputError(f"{described}: temperature, mean or std is out of range")
    from edge.preprocess import check_version  # brings NumPy along, which --help does without

    check_version(preprocess.version, where=str(described))
    check_side(preprocess.side, where=str(described), multiple=1 if program else SIDE_MULTIPLE)
    labels = from_json(facts.get("classes"), where=str(described))
    own: dict[str, Any] = {}
    if facts["schema"] == schemas[1]:
        weight = facts.get("answers_weight") if program else state.pop(ANSWERS_TENSOR, None)
        own = answers_facts(facts, weight, len(labels), where=str(described))
    if program:
        own |= program_facts(facts, weights, where=str(described))
    else:
        check_state(model, create_model(model, len(labels)).state_dict(), state)
        state = as_float32(state, weights)  # shipped weights take two bytes a number on disk
    rest = {
        name: facts.get(name, kind())
        for name, kind in (
            ("data", list),
            ("trained", dict),
            ("held_back", dict),
            ("unseen", dict),
            ("metrics", dict),
            ("recipe", dict),
            ("versions", dict),
        )
    }
    for name, kind in (("data", list), ("metrics", dict), ("recipe", dict), ("versions", dict)):
        if not isinstance(rest[name], kind):
            raise InputError(f"{described}: the field {name} is malformed")
    for role in ("trained", "held_back", "unseen"):
        parts = rest[role].values() if isinstance(rest[role], dict) else [None]
        if not all(isinstance(p, dict) and all(isinstance(v, list) for v in p.values()) for p in parts):
            raise InputError(f'{described}: {role} is {{"data set": {{"patients": [...], "images": [...]}}}}')
    return Checkpoint(model, labels, preprocess, state, temperature, **rest, **own, sha256=digest, path=weights)


def program_facts(facts: dict[str, Any], weights: Path, *, where: str) -> dict[str, Any]:
    """What a checkpoint of a network of its own has beside the rest; InputError where it is malformed."""
    names = (facts.get("model"), facts.get("family"))
    if not all(isinstance(name, str) and re.fullmatch(NAME, name) for name in names):
        raise InputError(f"{where}: model and family are 1 to 64 of a-z, 0-9 and _, got {names!r}")
    if facts.get("gives") not in GIVES:
        raise InputError(f"{where}: gives is one of {', '.join(GIVES)}, got {facts.get('gives')!r}")
    if weights.stat().st_size > MAX_WEIGHT_BYTES:
        raise InputError(f"{weights} is larger than {MAX_WEIGHT_BYTES} bytes; expected the network of a phone model")
    return {"program": weights.read_bytes(), "gives": facts["gives"], "own_family": facts["family"]}


def answers_facts(facts: dict[str, Any], weight: object, classes: int, *, where: str) -> dict[str, Any]:
    """The questions of a checkpoint and what their answers add; InputError where they are malformed or do not fit."""
    import torch

    questions = questions_of(facts.get("questions"), where=where)
    places = length_of(questions)
    try:
        tensor = torch.as_tensor(weight)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        tensor = torch.zeros(0)
    if not (questions and tensor.is_floating_point() and tuple(tensor.shape) == (classes, places)):
        raise InputError(
            f"{where}: expected questions, and what their answers add as {classes} x {places} numbers, one for each "
            f"class and place; the weights have no such {ANSWERS_TENSOR}"
        )
    tensor = tensor.to(torch.float32)
    if not bool((tensor.abs() <= LARGEST_LOG_ODDS).all()):  # NaN too
        raise InputError(f"{where}: {ANSWERS_TENSOR} is NaN or beyond {LARGEST_LOG_ODDS:g}; the file is damaged")
    return {"questions": questions, "answers_weight": tensor}


def check_side(side: int, *, where: str, multiple: int = SIDE_MULTIPLE) -> int:
    """The side if it is a multiple of `multiple` within the limits; InputError that names `where` otherwise."""
    smallest = max(MIN_SIDE, multiple)
    if not (smallest <= side <= MAX_SIDE and side % multiple == 0):
        wanted = f"a multiple of {multiple} up to {MAX_SIDE}" if multiple > 1 else f"{MIN_SIDE} to {MAX_SIDE}"
        raise InputError(f"{where}: the input side is {wanted} pixels, got {side}")
    return side
