"""Files of torchvision and timm give the answers of their networks, for weights that are filled by a rule."""

from __future__ import annotations

import pytest
import torch

from dermedge.commands.import_upstream import main as import_upstream
from edge.checkpoint import load
from edge.errors import InputError
from edge.models import body_from_upstream, create_model, from_upstream
from edge.timm_files import HALF
from tests.edge.models._published import file_of, pixels, published, state_of

CASES = tuple(published())


@pytest.mark.parametrize("name", CASES)
def test_the_answers_are_theirs(name):
    case = published()[name]
    net = create_model(case["model"], 1000).double().eval()
    net.load_state_dict(from_upstream(case["model"], state_of(case)))
    with torch.inference_mode():
        logits = net(pixels(case))[0]
    expected = torch.tensor(case["logits"], dtype=torch.float64)
    assert expected.std() > 0.03
    assert (logits[: len(expected)] - expected).abs().max() <= 1e-9


def test_padding_alone_is_noticed():
    """Two networks of timm have the same tensors: with the other's padding the answers are not theirs."""
    case = published()["timm efficientnet_b0_tf"]
    net = create_model("efficientnet_b0", 1000).double().eval()
    net.load_state_dict(from_upstream("efficientnet_b0", state_of(case)))
    with torch.inference_mode():
        logits = net(pixels(case))[0]
    expected = torch.tensor(case["logits"], dtype=torch.float64)
    assert (logits[: len(expected)] - expected).abs().max() > 1e-5


@pytest.mark.parametrize("name", ["torchvision mobilenetv3_large", "timm efficientnet_lite0", "timm mobilevit_s"])
def test_a_file_without_its_last_layer_has_the_same_body(name):
    """As timm saves a network with `num_classes=0`."""
    case = published()[name]
    whole = file_of(case)
    theirs = max((key for key in whole if key.endswith(".weight") and whole[key].shape[0] == 1000), key=len)
    body, head = body_from_upstream(case["model"], whole)
    assert {key: tuple(value.shape) for key, value in head.items()} == {
        "classifier.weight": tuple(whole[theirs].shape),
        "classifier.bias": (1000,),
    }
    cut = {key: value for key, value in whole.items() if key not in (theirs, theirs.replace("weight", "bias"))}
    again, nothing = body_from_upstream(case["model"], {f"module.{key}": value for key, value in cut.items()})
    assert not nothing and body.keys() == again.keys()
    assert all(torch.equal(body[key], again[key]) for key in body)
    assert body.keys() == {k for k in create_model(case["model"], 2).state_dict() if not k.startswith("classifier.")}


@pytest.mark.parametrize("name", ["timm mobilenetv3_large", "timm mobilevit_s"])  # whose values are changed as well
def test_what_is_missing_left_over_or_misshapen_is_named(name):
    case = published()[name]
    whole = file_of(case)
    convolution = next(key for key, value in whole.items() if value.ndim == 4)
    norm = next(key for key in whole if key.endswith("running_var"))
    without = {key: value for key, value in whole.items() if key != norm}
    for state, said in (
        (without, "1 tensors missing"),
        (whole | {"blocks.99.0.conv_dw.weight": torch.zeros(1)}, "left over"),
        (whole | {convolution: torch.zeros(1, 1, 1, 1)}, "of another shape"),
        (whole | {norm: torch.zeros(())}, "of another shape"),
        (whole | {convolution: torch.zeros(whole[convolution].shape, dtype=torch.int64)}, "numbers with a point"),
    ):
        with pytest.raises(InputError, match=said):
            body_from_upstream(case["model"], state)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("timm mobilenetv2", "mnasnet"), ("timm mnasnet", "mobilenetv2"), ("timm mobilevit_s", "efficientnet_b0"),
     ("timm efficientnet_b0", "efficientnet_lite0"), ("timm mobilenetv2", "mobilenetv2_tf"),
     ("torchvision mnasnet", "shufflenetv2"), ("timm efficientnet_lite0", "hierattn_xs")],
)  # fmt: skip
def test_files_of_another_network_are_refused(theirs, ours):
    with pytest.raises(InputError, match=f"do not fit {ours}"):
        body_from_upstream(ours, file_of(published()[theirs]))


def test_import_upstream_keeps_the_colours_that_timm_states(tmp_path):
    case, file = published()["timm efficientnet_lite2"], tmp_path / "tf_efficientnet_lite2-dcccb7df.pth"
    torch.save(file_of(case), file)
    assert import_upstream(["--model", "efficientnet_lite2", str(file), "--out", str(tmp_path / "ours")]) == 0
    held = load(tmp_path / "ours.safetensors")
    assert (held.preprocess.mean, held.preprocess.std) == HALF
    assert held.preprocess.side == 256 and len(held.labels) == 1000
