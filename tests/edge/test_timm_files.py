"""What a file of timm's says of itself: names and shapes do not tell its padding or its colours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edge.errors import InputError
from edge.models import normalisation
from edge.timm_files import HALF, NETWORKS, PLAIN, TWINS, colours_of

STATE = {"conv_stem.weight": torch.zeros(1)}  # timm's names; what it holds does not matter here
IMAGENET = normalisation("mobilenetv2")
CACHE = "models--timm--{}/snapshots/0123abcd/model.safetensors"  # as Hugging Face keeps what it loads


@pytest.mark.parametrize(
    ("model", "file", "colours"),
    [  # files as timm 1.0.31 names them, with what its tables state of them
        ("mobilenetv2", "mobilenetv2_100_ra-b33bc2c4.pth", IMAGENET),
        ("mnasnet", "mnasnet_b1-74cb7081.pth", IMAGENET),
        ("mobilenetv3_large", "mobilenetv3_large_100_ra-f55367f5.pth", IMAGENET),
        ("mobilenetv3_large", "mobilenetv3_large_100_1k_miil_78_0-66471c13.pth", PLAIN),
        ("mobilenetv3_large", CACHE.format("mobilenetv3_large_100.miil_in21k"), PLAIN),
        ("mobilenetv3_large", CACHE.format("mobilenetv3_large_100.ra4_e3600_r224_in1k"), HALF),
        ("efficientnet_b0", "efficientnet_b0_ra-3dd342df.pth", IMAGENET),
        ("efficientnet_b0", CACHE.format("efficientnet_b0.ra_in1k"), IMAGENET),
        ("efficientnet_b0", CACHE.format("efficientnet_b0.ra4_e3600_r224_in1k"), HALF),
        ("efficientnet_b0_tf", "tf_efficientnet_b0_ns-c0e6a31c.pth", IMAGENET),
        ("efficientnet_b0_tf", "tf_efficientnet_b0_aa-827b6e33.pth", IMAGENET),
        ("efficientnet_b0_tf", "tf_efficientnet_b0_ap-f262efe1.pth", HALF),
        ("efficientnet_b0_tf", CACHE.format("tf_efficientnet_b0.ap_in1k"), HALF),
        ("efficientnet_b0_tf", "tf_efficientnet_b0.aa_in1k/pytorch_model.bin", IMAGENET),
        ("efficientnet_lite0", "tf_efficientnet_lite0-0aa007d2.pth", HALF),
        ("efficientnet_lite2", CACHE.format("tf_efficientnet_lite2.in1k"), HALF),
        ("mobilevit_s", "mobilevit_s-38a5a959.pth", PLAIN),
    ],
)
def test_names_of_files(tmp_path, messages, model, file, colours):
    assert colours_of(tmp_path / file, STATE, model) == colours
    assert not messages


@pytest.mark.parametrize(
    ("model", "file", "said"),
    [
        ("efficientnet_b0", "tf_efficientnet_b0_ns-c0e6a31c.pth", "give `model` efficientnet_b0_tf"),
        ("efficientnet_b0_tf", CACHE.format("efficientnet_b0.ra_in1k"), "give `model` efficientnet_b0"),
        (
            "mobilenetv3_large",
            "tf_mobilenetv3_large_100-427764d5.pth",
            "pads otherwise and is another.*take weights of timm's mobilenetv3_large_100$",
        ),
        (
            "efficientnet_lite0",
            "efficientnet_lite0_ra-37913777.pth",
            "dermedge's efficientnet_lite0 is timm's tf_efficientnet_lite0: .*efficientnet_lite0 pads otherwise and is "
            "another network.*take weights of timm's tf_efficientnet_lite0$",
        ),
        ("mobilenetv2", "tf_efficientnet_lite1-bde8b488.pth", "give `model` efficientnet_lite1"),
        ("efficientnet_lite1", "tf_efficientnet_lite0-0aa007d2.pth", "give `model` efficientnet_lite0"),
    ],
)
def test_another_network_is_refused(tmp_path, model, file, said):
    with pytest.raises(InputError, match=said):
        colours_of(tmp_path / file, STATE, model)


@pytest.mark.parametrize("model", NETWORKS)
def test_a_file_that_says_nothing_is_told_of(tmp_path, messages, model):
    colours_of(tmp_path / "model.safetensors", STATE, model)
    assert bool(messages) == (NETWORKS[model] in TWINS)
    if messages:
        assert TWINS[NETWORKS[model]] in messages[0]


def described(folder: Path, **facts: object) -> Path:
    (folder / "config.json").write_text(json.dumps(facts))
    return folder / "model.safetensors"


def test_the_description_beside_it_is_believed(tmp_path, messages):
    cfg = {"tag": "x", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    file = described(tmp_path, architecture="efficientnet_b0", pretrained_cfg=cfg)
    assert colours_of(file, STATE, "efficientnet_b0") == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    with pytest.raises(InputError, match="give `model` efficientnet_b0"):
        colours_of(file, STATE, "efficientnet_b0_tf")
    assert not messages


@pytest.mark.parametrize(
    "cfg",
    [{"mean": [0.1, 0.2]}, {"mean": [0.1] * 3, "std": [0.0, 1, 1]}, {"mean": [0.1] * 3, "std": [1, 1, "1"]},
     {"mean": [float("nan")] * 3, "std": [1] * 3}, {"std": [1, 1, True], "mean": [0] * 3},
     {"mean": [0] * 3, "std": [255] * 3}, {"mean": "0.5", "std": None}],
)  # fmt: skip
def test_a_malformed_description_is_refused(tmp_path, cfg):
    file = described(tmp_path, architecture="efficientnet_b0", pretrained_cfg=cfg)
    with pytest.raises(InputError, match="mean and std are three numbers"):
        colours_of(file, STATE, "efficientnet_b0")


def test_other_names_are_no_business_of_timm(tmp_path):
    """Torchvision's file, in a folder that happens to describe something else."""
    file = described(tmp_path, architecture="tf_efficientnet_b0")
    assert colours_of(file, {"features.0.0.weight": torch.zeros(1)}, "efficientnet_b0") == IMAGENET
