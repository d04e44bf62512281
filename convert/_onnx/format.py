"""The .onnx format: one lowering, one change of the weights per recipe, every file run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import ONNX
from edge.runtimes.onnx import OnnxRuntime, check_installed
from edge.scheme import ONNX_SUFFIX
from edge.scheme import save as save_scheme

from .._aim import Unreachable
from .._format import Source
from .._kept_rounding import Means
from .audit import audit
from .choose import OTHERS, Network, able, reachable_share
from .half import with_half_weights
from .layers import Graph
from .measured import Measured, means_for, measure
from .program import Lowered, float_model, save
from .quantise import with_biases
from .rounding import half_biases
from .second_input import with_second_input

HALF = 16  # bits


@dataclass(frozen=True)
class Prepared:
    """The lowered network, and for 8 bits its rounding and the scheme of its layers."""

    remark: str
    lowered: Lowered
    labels: tuple[str, ...]
    side: int
    measurement: Measured | None = None
    missed: str | None = None  # why no int8 file can pass its gate
    means: Means | None = None  # what weights are multiplied with on average: for the biases of half precision

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        prepared = self.measured_for_8_bits(source, recipes)
        if not any(ONNX[recipe].weights == HALF for recipe in recipes):
            return prepared
        if prepared.measurement is not None:
            return replace(prepared, means=prepared.measurement.rounding.means)
        means, how = means_for(
            source.checkpoint,
            self.lowered.content,
            data=source.data,
            kept=source.kept,
            skip_unreadable=source.skip_unreadable,
        )
        return replace(prepared, remark=f"{prepared.remark}; biases of fp16: {how}", means=means)

    def measured_for_8_bits(self, source: Source, recipes: Sequence[str]) -> Prepared:
        wanted = next((ONNX[recipe] for recipe in recipes if ONNX[recipe].measured), None)
        if wanted is None:
            return self
        aim = source.aim(wanted)
        try:
            aim.check_share(reachable_share(Graph(self.lowered.content)), OTHERS)
        except Unreachable as error:
            return replace(self, missed=str(error))
        measurement = measure(
            source.checkpoint,
            self.lowered.content,
            data=source.data,
            kept=source.kept,
            target=source.written,
            skip_unreadable=source.skip_unreadable,
            aim=aim,
        )
        if measurement.scheme:  # beside the files, for the report
            save_scheme(source.folder / f"{source.checkpoint.model}-{wanted.name}{ONNX_SUFFIX}", measurement.scheme)
        remark = f"{self.remark}; rounding: {measurement.how}"
        return replace(self, remark=remark, measurement=measurement, missed=measurement.unreachable)

    def unreachable(self, recipe: str) -> str | None:
        return self.missed if ONNX[recipe].measured else None

    def model(self, recipe: str) -> Any:
        from onnx import ModelProto

        if ONNX[recipe].weights == HALF:
            graph = Graph(self.lowered.fits_half)
            biases = half_biases(graph, able(graph), self.means) if self.means else {}
            return with_half_weights(with_biases(self.lowered.fits_half, biases))
        if not ONNX[recipe].measured:
            return ModelProto.FromString(self.lowered.fits_half)
        if self.measurement is None or self.measurement.scheme is None:
            raise ValueError(f"{recipe} needs a scheme")
        network = Network(self.lowered.content, self.measurement.rounding)
        return ModelProto.FromString(network.file(self.measurement.scheme.layers))

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        save(self.model(recipe), target, manifest, recipe)

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        model = with_second_input(alone.read_bytes(), np.array(manifest.log_odds, np.float32))
        save(model, target, manifest, recipe, answers=True)

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        runtime = OnnxRuntime(path)
        try:
            return runtime.shortcomings(recipe=recipe, side=self.side, labels=self.labels, answers=answers)
        finally:
            runtime.close()

    def audit(self, recipe: str, path: Path) -> Audit:
        return audit(path)

    def opens_from(self, recipe: str, path: Path) -> str:
        return ONNX[recipe].opens_from

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        return None


class ONNXFormat:
    name, suffix, recipes = "onnx", ".onnx", ONNX

    def lower(self, source: Source) -> Prepared:
        check_installed(converting=True)
        lowered = float_model(source.checkpoint)
        passes = ", ".join(f"{name} {count}" for name, count in lowered.fired.items() if count)
        codes = tuple(label.code for label in source.checkpoint.labels)
        remark = f"graph rewrites: {passes or 'none'}; lowered operator by operator"
        return Prepared(remark, lowered, codes, source.checkpoint.preprocess.side)
