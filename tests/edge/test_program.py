"""Exported programs: what is written comes back, and a stranger's file can neither run code nor crash the reader."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edge.errors import InputError
from edge.program import from_bytes, to_bytes
from edge.program_file import OPERATION, checked
from tests.fuzzing import fuzzed

SIDE = 16


class Net(nn.Module):
    """With parameters, a buffer, an operation of several results, and a name that is no identifier."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"3x3-first": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4)})
        self.classifier = nn.Linear(4, 2)
        self.register_buffer("scale", torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        halves = x.chunk(2, 1)
        return self.classifier((torch.cat(halves, 1) * self.scale[:, None, None]).mean((2, 3)))


class Two(Net):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), x[:, :1]


def net(kind: type[Net] = Net) -> Net:
    torch.manual_seed(0)
    return kind().eval()


@pytest.fixture(scope="module")
def content() -> bytes:
    return to_bytes(net(), SIDE)


def read(content: bytes) -> nn.Module:
    return from_bytes(content, where="net.pt2")


@pytest.mark.parametrize("kind", [Net, Two])
def test_what_is_written_answers_the_same(kind: type[Net]) -> None:
    images = torch.rand(3, 3, SIDE, SIDE)
    expected = net(kind)(images)
    found = read(to_bytes(net(kind), SIDE))(images)
    for a, b in zip(expected if kind is Two else [expected], found if kind is Two else [found], strict=True):
        torch.testing.assert_close(a, b)


def test_the_same_network_gives_the_same_bytes(content: bytes) -> None:
    """Their digest tells one checkpoint from another."""
    assert to_bytes(net(), SIDE) == content
    other = net()
    other.scale += 1
    assert to_bytes(other, SIDE) != content


def test_nothing_of_the_authors_files_goes_along(content: bytes) -> None:
    assert str(Path(__file__).parent).encode() not in content and b"halves" not in content


def test_a_program_is_not_trained(content: bytes) -> None:
    with pytest.raises(InputError, match="cannot be trained"):
        read(content).train()


def test_what_depends_on_the_pictures_values_is_said() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match=r"cannot follow the network for a picture of 16 x 16.*values of the picture"):
        to_bytes(Branch(), SIDE)


# What a stranger may have put there. `hit` is the file that a payload would create.


class Payload:
    def __init__(self, hit: Path) -> None:
        self.hit = hit

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.hit),)


@pytest.fixture
def hit(tmp_path: Path) -> Path:
    return tmp_path / "hit"


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def packed(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


def changed(content: bytes, change: Callable[[dict[str, Any]], None], member: str = "models/model.json") -> bytes:
    parts = members(content)
    document = json.loads(parts[f"archive/{member}"])
    change(document)
    return packed(parts | {f"archive/{member}": json.dumps(document).encode()})


def replaced(content: bytes, old: str, new: object) -> bytes:
    """With every text `old` of the program replaced."""
    parts = members(content)
    text = parts["archive/models/model.json"].decode()
    assert json.dumps(old) in text
    return packed(parts | {"archive/models/model.json": text.replace(json.dumps(old), json.dumps(new)).encode()})


def nodes(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document["graph_module"]["graph"]["nodes"]


def calling(target: str, **arguments: object) -> Callable[[dict[str, Any]], None]:
    """The first operation calls something else."""
    kinds: dict[type, str] = {str: "as_string", bool: "as_bool", int: "as_int"}

    def change(document: dict[str, Any]) -> None:
        given = [{"name": k, "arg": {kinds[type(v)]: v}, "kind": 1} for k, v in arguments.items()]
        nodes(document)[0].update(target=target, inputs=given)

    return change


def shaped(**spec: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        signature = document["graph_module"]["module_call_graph"][0]["signature"]
        root = {"type": None, "context": None, "children_spec": []} | spec
        signature["out_spec"] = json.dumps([1, root])

    return change


LEAF = {"type": None, "context": None, "children_spec": []}
FACTORY = {"default_factory_module": "hostile", "default_factory_name": "run", "dict_context": []}
ENUM = json.dumps([{"__enum__": True, "fqn": "hostile:run", "name": "x"}])


def stored(**facts: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: next(iter(document["config"].values())).update(facts)


def hostile(content: bytes, hit: Path) -> dict[str, tuple[bytes, str]]:
    """Kind -> the file and words of its refusal."""
    code = f"__import__('os').mkdir({str(hit)!r})"
    weights, pickled = "data/weights/model_weights_config.json", pickle.dumps(Payload(hit))
    parts, torch_pickle = members(content), io.BytesIO()
    torch.save(Payload(hit), torch_pickle)
    bare = {name: part for name, part in parts.items() if not name.endswith("sample_inputs/model.pt")}
    return {
        "a pickle among the members": (packed(parts | {"archive/data/extra.pkl": pickled}), "extra.pkl"),
        "a module to import": (packed(parts | {"archive/code.py": code.encode()}), "code.py"),
        "a compiled library": (packed(parts | {"archive/data/aotinductor/m/m.so": b"\x7fELF"}), "aotinductor"),
        "an example input": (packed({**parts, "archive/data/sample_inputs/model.pt": torch_pickle.getvalue()}),
                             "a pickle, which is never read"),
        "no example input": (packed(bare), "expected a plain program"),
        "a weight that is a pickle": (changed(packed({**parts, "archive/data/weights/weight_0": pickled}),
                                              stored(use_pickle=True), weights), "holds a pickle"),
        "a weight elsewhere": (changed(content, stored(path_name="../../etc/passwd"), weights), "for a tensor"),
        "torch.hub.load": (changed(content, calling("torch.hub.load", repo_or_dir="x", model="y")), "torch.hub.load"),
        "os.system": (changed(content, calling("os.system", command="true")), "os.system"),
        "a library to load": (changed(content, calling("torch.ops.load_library", path="x")), "load_library"),
        "another namespace": (changed(content, calling("torch.ops.inductor.f.default")), "inductor"),
        "math": (changed(content, calling("math.factorial", x=9)), "math.factorial"),
        "an extension": (changed(content, calling("#hostile:run")), "#hostile"),
        "an attribute of a name space": (changed(content, calling("torch.ops.aten.__getattr__.x")), "__getattr__"),
        "a file to map": (changed(content, calling("torch.ops.aten.from_file.default", filename=str(hit), shared=True,
                                                   size=588)), "from_file"),
        "a file to write": (changed(content, calling("torch.ops.aten.save.default", filename=str(hit))), "save"),
        "a target that is no text": (changed(content, lambda d: nodes(d)[0].update(target=["x"])), "calls"),
        "guards": (changed(content, lambda d: d.update(guards_code=[code])), "code of its own"),
        "an expression": (changed(content, lambda d: nodes(d)[0]["inputs"][0].update(
            arg={"as_sym_int": {"as_expr": {"expr_str": code}}})), "expressions"),
        "code in the name of the input": (replaced(content, "x", f"x, y={code}"), "has the name"),
        "code in the name of a result": (replaced(content, "cat", f"a;{code}"), "has the name"),
        "code in the name of a weight": (replaced(content, "classifier.bias", f'a"),{code},("'), "has the text"),
        "code in the name of a buffer": (replaced(content, "scale", f'a"),{code},("'), "has the text"),
        "code in a parameter of forward": (changed(content, lambda d: d["graph_module"]["module_call_graph"][0][
            "signature"].update(forward_arg_names=[f"x, y={code}"])), "has the name"),
        "a weight over a method": (replaced(content, "classifier.bias", "__class__.forward"), "has the text"),
        "a structure that imports": (changed(content, shaped(type="collections.defaultdict", context=FACTORY,
                                                             children_spec=[LEAF])), "unknown kind"),
        "an enum that imports": (changed(content, shaped(type="builtins.dict", context=ENUM, children_spec=[LEAF])),
                                 "unknown kind"),
        "a deep structure": (changed(content, lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update(
            in_spec="[" * 5000)), "unknown kind"),
        "a deep document": (packed({**parts, "archive/models/model.json": b"[" * 100_000}), "not JSON"),
        "a list": (packed({**parts, "archive/models/model.json": b"[]"}), "damaged"),
        "a bomb": (packed({**parts, "archive/data/weights/weight_0": bytes(10**7)}, zipfile.ZIP_DEFLATED),
                   "compressed"),
        "a part twice": (packed({**parts, "other/models/model.json": parts["archive/models/model.json"]}), "twice"),
        "a weight too short": (packed({**parts, "archive/data/weights/weight_0": b"\0" * 8}), "damaged"),
        "a weight of another shape": (changed(content, stored_shape, weights), "damaged"),
        "nothing": (b"", "no exported program"),
        "a pickle of torch": (torch_pickle.getvalue(), "expected a plain program"),
    }  # fmt: skip


def stored_shape(document: dict[str, Any]) -> None:
    next(iter(document["config"].values()))["tensor_meta"]["sizes"] = [{"as_int": 2**40}]


WHOLE = to_bytes(net(), SIDE)
KINDS = list(hostile(WHOLE, Path("hit")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(
    kind: str, content: bytes, hit: Path, tmp_path: Path, monkeypatch, capfd
) -> None:
    (tmp_path / "hostile.py").write_text(f"import os\nos.mkdir({str(hit)!r})\nclass run(dict): pass\n")
    monkeypatch.syspath_prepend(tmp_path)  # as in a notebook beside the file
    file, words = hostile(content, hit)[kind]
    with pytest.raises(InputError, match=words) as caught:
        read(file)(torch.zeros(1, 3, SIDE, SIDE))
    assert "net.pt2" in str(caught.value)
    assert not hit.exists() and "hostile" not in sys.modules
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "kind", ["code in the name of the input", "a file to map", "a structure that imports", "a pickle among the members"]
)
def test_these_payloads_would_work(kind: str, content: bytes, hit: Path, tmp_path: Path, monkeypatch) -> None:
    """Without the check; so that what is refused above is refused for a reason."""
    (tmp_path / "hostile.py").write_text(f"import os\nos.mkdir({str(hit)!r})\nclass run(dict): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    file, _ = hostile(content, hit)[kind]
    try:
        if kind == "a pickle among the members":
            pickle.loads(members(file)["archive/data/extra.pkl"])
        else:
            torch.export.load(io.BytesIO(file)).module(check_guards=False)(torch.zeros(1, 3, SIDE, SIDE))
    except Exception:
        pass
    sys.modules.pop("hostile", None)
    assert hit.exists()


def test_the_archive_is_packed_anew(content: bytes) -> None:
    """torch reads archives otherwise than Python does: there may be another directory of which Python knows nothing."""
    evil = changed(content, calling("torch.hub.load"))
    both = evil + content  # Python opens the last archive of a file
    clean = checked(both, where="x")
    assert b"torch.hub.load" in both and b"torch.hub.load" not in clean
    torch.testing.assert_close(read(both)(torch.ones(1, 3, SIDE, SIDE)), net()(torch.ones(1, 3, SIDE, SIDE)))


def test_no_aten_operation_that_takes_a_file_is_let_pass() -> None:
    with_files = {
        f"torch.ops.{schema.name.replace('::', '.')}.{schema.overload_name or 'default'}"
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("aten::")
        and any("str" in str(one.type) and re.search("file|path|url|code", one.name) for one in schema.arguments)
    }
    assert "torch.ops.aten.from_file.default" in with_files
    assert not [target for target in with_files if OPERATION.fullmatch(target)]
    assert all(
        OPERATION.fullmatch(f"torch.ops.aten.{name}") for name in ("add.Tensor", "__and__.Tensor", "_softmax.default")
    )


PLACES = [0, *(WHOLE.index(word) for word in (b"model.json", b"PK\x05\x06", b"use_pickle", b"PK\x01\x02"))]


@fuzzed(60)
@given(st.sampled_from(PLACES), st.integers(-30, 300), st.integers(0, 7), st.booleans())
def test_damaged_bytes_end_in_an_answer_or_an_error(place: int, away: int, bit: int, cut: bool) -> None:
    damaged = bytearray(WHOLE)
    where = (place + away) % len(damaged)
    if cut:
        del damaged[where:]
    else:
        damaged[where] ^= 1 << bit
    try:
        answer = read(bytes(damaged))(torch.zeros(1, 3, SIDE, SIDE))
    except InputError as error:
        assert "net.pt2" in str(error)
    else:
        assert answer.shape == (1, 2)
