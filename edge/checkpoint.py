"""A trained model on disk: `<stem>.safetensors` (weights) and `<stem>.json` (everything else). Never a pickle."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import InputError
from edge.files import moved_into_place, read_json, sha256, write_json
from edge.labels import Label, from_json, to_json
from edge.models import MODELS, SIDE_MULTIPLE, check_state, create_model, family_name

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = "dermedge/checkpoint/1"
MAX_WEIGHT_BYTES = 2 * 2**30
MAX_SIDE = 1024  # pixels
SHIPPED = Path(__file__).parent / "weights"
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
    sha256: str = ""  # of the weight file, once written or read

    @property
    def untrained(self) -> dict | None:
        """Where the random weights come from, if `convert … --untrained` made them; their answers mean nothing."""
        return self.recipe.get(UNTRAINED)

    def network(self) -> nn.Module:
        """The network with these weights, in evaluation mode: normalised RGB (N, 3, S, S) -> logits (N, K)."""
        net = create_model(self.model, len(self.labels))
        net.load_state_dict(self.state)
        return net.eval()


def versions_here() -> dict[str, str]:
    names = ("dermedge", "torch", "numpy", "opencv-python-headless", "Pillow", "lightning-fabric", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def save(checkpoint: Checkpoint, stem: Path) -> None:
    """Write `<stem>.safetensors`, then `<stem>.json` that carries its digest."""
    from safetensors.torch import save as to_bytes

    weights = stem.with_suffix(".safetensors")
    with moved_into_place(weights) as path:
        # as bytes, so that a full disk is Python's OSError and the file gets the usual permissions
        path.write_bytes(to_bytes({key: value.detach().contiguous().cpu() for key, value in checkpoint.state.items()}))
    write_json(
        stem.with_suffix(".json"),
        {
            "schema": SCHEMA,
            "model": checkpoint.model,
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "classes": to_json(checkpoint.labels),
            "preprocess": asdict(checkpoint.preprocess),
            "temperature": checkpoint.temperature,
            "metrics": checkpoint.metrics,
            "recipe": checkpoint.recipe,
            "versions": checkpoint.versions or versions_here(),
            "data": checkpoint.data,
            "trained": checkpoint.trained,
            "held_back": checkpoint.held_back,
            "unseen": checkpoint.unseen,
        },
    )


def shipped(model: str) -> Path:
    """The checkpoint of `model` that comes with dermedge; InputError if there is none."""
    family_name(model)  # an unknown name is told apart from one that is not shipped
    path = SHIPPED / f"{model}.safetensors"
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.safetensors"))) or "none"
        raise InputError(
            f"no checkpoint of {model} comes with dermedge (there is: {have}); "
            f"train one with `python train/train.py --model {model} --data …` and give it with --checkpoint, or see "
            f"its size and speed with random weights: `python convert/to_tflite.py --model {model} --untrained`"
        )
    return path


def load(path: Path) -> Checkpoint:
    """Read `<stem>.safetensors` with its `<stem>.json`; either name may be given.

    Raises InputError that names the file and the way out: missing, cut off, a foreign format, another
    schema, weights that are not those the JSON describes, or that do not fit the model.
    """
    path = Path(path)
    if path.suffix in {".pth", ".pt", ".ckpt", ".bin", ".tar"}:
        raise InputError(
            f"{path} is a foreign checkpoint; read it with `dermedge import-upstream --model … {path}` "
            "(weights only, nothing in it is run)"
        )
    if path.is_dir() and (path / "checkpoint.safetensors").is_file():
        path = path / "checkpoint.safetensors"
    weights, described = path.with_suffix(".safetensors"), path.with_suffix(".json")
    if not weights.is_file():
        inside = ", ".join(sorted(one.name for one in path.glob("*.safetensors"))) if path.is_dir() else ""
        raise InputError(
            f"no checkpoint at {weights}; give --checkpoint the .safetensors file that training wrote"
            + (f" ({path} holds {inside})" if inside else "")
        )
    facts = read_json(described, what=f"the description that belongs to {weights.name}")
    if facts.get("schema") != SCHEMA:
        raise InputError(f"{described}: expected schema {SCHEMA}, got {facts.get('schema')!r}")
    state = read_weights(weights)
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
    if model not in MODELS:
        raise InputError(f"{described}: unknown model {model!r}; known: {', '.join(MODELS)}")
    in_range = all(abs(value) < 1e3 for value in mean) and all(0 < value < 1e3 for value in std)
    if not (0.01 <= temperature <= 100 and len(mean) == len(std) == 3 and in_range):
        raise InputError(f"{described}: temperature, mean or std is out of range")
    from edge.preprocess import check_version  # brings NumPy along, which --help does without

    check_version(preprocess.version, where=str(described))
    check_side(preprocess.side, where=str(described))
    labels = from_json(facts.get("classes"), where=str(described))
    check_state(model, create_model(model, len(labels)).state_dict(), state)
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
    return Checkpoint(model, labels, preprocess, state, temperature, **rest, sha256=digest)


def check_side(side: int, *, where: str) -> int:
    if not (SIDE_MULTIPLE <= side <= MAX_SIDE and side % SIDE_MULTIPLE == 0):
        raise InputError(
            f"{where}: the input side is a multiple of {SIDE_MULTIPLE} up to {MAX_SIDE} pixels, got {side}"
        )
    return side


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file of bounded size; InputError if it is cut off or something else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise InputError(f"{path} is larger than {MAX_WEIGHT_BYTES} bytes; expected the weights of one model")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no complete safetensors file ({error}); copy or download it again") from error
