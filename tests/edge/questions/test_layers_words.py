"""Operations of the layers' table as torch's users call them."""

from __future__ import annotations

import pytest

from edge.questions.layers.wording import module, operation


@pytest.mark.parametrize(
    ("kind", "torch", "called"),
    [
        ("CONV_2D", "_native_batch_norm_legit_no_training", "convolution and batch_norm"),
        ("DEPTHWISE_CONV_2D", "batch_norm", "convolution and batch_norm"),
        ("conv", "_native_batch_norm_legit_no_training", "convolution and batch_norm"),
        ("batch_norm", "_native_batch_norm_legit_no_training", "batch_norm"),
        ("CONV_2D", "conv2d", "conv2d"),
        ("SOFTMAX", "_softmax", "softmax"),
        ("MUL", "native_layer_norm", "layer_norm"),
    ],
)
def test_a_convolution_is_not_called_by_the_norm_that_went_into_it(kind, torch, called):
    row = {"kind": kind, "torch": torch, "module": "layer1.0", "seen": ""}
    assert operation(row) == called and module(row) == f"layer1.0 ({called})"
