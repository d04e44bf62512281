"""Operations as files, against torch in float64: TFLite on LiteRT, ONNX on its runtime, Core ML in the interpreter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from convert._coreml.program import exported
from convert._coreml.refusals import converted
from convert._graph.graph import trace
from convert._graph.passes import NEURAL_ENGINE_PASSES, rewrite
from convert._onnx.program import lower as lower_to_onnx
from convert._tflite.file import lower
from edge.runtimes.coreml import CoreMLModel, load_program
from edge.runtimes.onnx import opened
from tests.convert._operations import KINDS, SIDE, Each, wanted
from tests.convert.tflite.test_emit import answer

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
PICTURE = 2 * torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def compared(kind: str, got: np.ndarray) -> None:
    """Every operation's part of the answer, so that the one that is wrong is named."""
    right = wanted(KINDS[kind], PICTURE)
    assert got.size == sum(part.size for part in right.values())
    start, wrong = 0, {}
    for name, part in right.items():
        difference = np.abs(got[start : start + part.size] - part).max() / max(1, np.abs(part).max())
        start += part.size
        if not difference < 1e-5:
            wrong[name] = difference
    assert wrong == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tflite_file_computes_what_torch_does(kind: str) -> None:
    image = PICTURE.permute(0, 2, 3, 1).contiguous()
    lowered = lower(Each(KINDS[kind], channels_last=True).eval(), torch.zeros_like(image))
    assert lowered.by == "operator by operator"
    compared(kind, answer(lowered.content, image, reference=False).ravel())


@pytest.mark.parametrize("kind", KINDS)
def test_an_onnx_file_computes_what_torch_does(kind: str) -> None:
    """By the checker's rules, too; with the runtime's own rewrites, as apps run it."""
    image = PICTURE.permute(0, 2, 3, 1).contiguous()
    content = lower_to_onnx(Each(KINDS[kind], channels_last=True).eval(), torch.zeros_like(image)).content
    onnx.checker.check_model(content, full_check=True)
    session = opened(Path("x.onnx"), content, "onnxruntime", 1)
    compared(kind, session.run(["probabilities"], {"image": image.numpy()})[0].ravel())


@pytest.mark.slow(reason="a conversion by coremltools for each kind")
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_computes_what_torch_does(kind: str, tmp_path: Path) -> None:
    """With no pool whose answer depends on the runtime: coremltools issues 2772, 1901."""
    model = package(kind, tmp_path)
    pools = [call.fixed for call in model.calls if call.operation.kind == "avg_pool"]
    assert len(pools) >= 8 or kind != "average pools"  # equal ones are shared
    assert not any(pool.get("ceil_mode") or any(pool.get("pad") or []) for pool in pools)
    compared(kind, np.asarray(model.predict({"image": PICTURE.numpy()})["probabilities"]).ravel())


def package(kind: str, folder: Path) -> CoreMLModel:
    import coremltools as ct

    net = Each(KINDS[kind], channels_last=False).eval()
    graph, _ = rewrite(trace(net, torch.zeros_like(PICTURE)), NEURAL_ENGINE_PASSES)
    program = exported(SimpleNamespace(preprocess=SimpleNamespace(side=SIDE)), graph)  # type: ignore[arg-type]
    model = converted(
        program,
        inputs=[ct.TensorType(name="image", shape=tuple(PICTURE.shape))],
        outputs=[ct.TensorType(name="probabilities")],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(folder / "x.mlpackage"))
    return load_program(folder / "x.mlpackage")
