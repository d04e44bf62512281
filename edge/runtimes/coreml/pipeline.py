"""Several models in a row: each takes what the pipeline was given and what the models before it gave, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from edge.errors import InputError

from . import features
from .bind import Call, PredictionError
from .described import Described
from .promised import fits_in
from .state import MLState, check_fits

KINDS = {"pipeline", "pipelineClassifier", "pipelineRegressor"}


class Stage(Protocol):
    """A model of a pipeline."""

    input_description: list[Any]
    output_description: list[Any]

    @property
    def calls(self) -> Sequence[Call]: ...

    @property
    def notices(self) -> list[str]: ...

    def predict(self, data: Mapping[str, Any]) -> dict[str, Any]: ...


def models_of(spec: Any) -> Any:
    """The Pipeline message of a Model message; None of one that is no pipeline."""
    kind = spec.WhichOneof("Type")
    if kind not in KINDS:
        return None
    return spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline


class CoreMLPipeline(Described):
    """Models that answer one after the other, with the interface of coremltools' `MLModel`.

    InputError where a model lacks an input, where an output is promised that none gives, and for models with states.
    """

    def __init__(self, spec: Any, stages: Mapping[str, Any]) -> None:
        super().__init__(spec)
        self.stages: dict[str, Stage] = dict(stages)  # by words for it in messages
        description = spec.description
        self.input_description, self.output_description = list(description.input), list(description.output)
        if not self.stages:
            raise InputError("the pipeline holds no model; copy or convert it again")
        known = {feature.name for feature in self.input_description}
        for label, stage in self.stages.items():
            if getattr(getattr(stage, "program", None), "states", ()):
                raise InputError(
                    f"{label} of the pipeline keeps states; Apple states no way to hand a pipeline the states of its "
                    "models, and none is made up here: open the package that it was made of alone, and call the "
                    "models one after the other"
                )
            for feature in stage.input_description:
                if feature.name not in known and not feature.type.isOptional:
                    raise InputError(f"{label} of the pipeline takes {feature.name}, which nothing before it gives")
            known |= {feature.name for feature in stage.output_description}
        for feature in self.output_description:
            if feature.name not in known:
                raise InputError(f"the pipeline promises an output {feature.name}, which none of its models gives")
        last = {feature.name: feature for stage in self.stages.values() for feature in stage.output_description}
        for feature in self.output_description:
            check_kind(feature, last.get(feature.name, feature))

    @property
    def calls(self) -> list[Call]:
        """The operations of all its programs, in order."""
        return [call for stage in self.stages.values() for call in stage.calls]

    @property
    def notices(self) -> list[str]:
        """Operations to which Apple's runtime is known to give other answers, and in which model; usually none."""
        return [f"{label}: {notice}" for label, stage in self.stages.items() for notice in stage.notices]

    def make_state(self) -> MLState:
        """An empty state, which `predict` takes: a pipeline keeps nothing between predictions."""
        return MLState(())

    def predict(self, data: Mapping[str, Any] | list[Mapping[str, Any]], state: MLState | None = None) -> Any:
        """Answers for one dictionary of inputs, or a list of them: {output name: array, number, text or dictionary}.

        InputError for a state that is not empty.
        """
        if state is not None:
            check_fits(state, ())
        if isinstance(data, list):
            if state is not None:
                raise InputError("a state goes with one dictionary of inputs, not with a list of them")
            return [self.predict(inputs) for inputs in data]
        features.read_inputs(self.input_description, data)  # for its errors: each model reads what it is handed anew
        values = dict(data)
        for label, stage in self.stages.items():
            wanted = {feature.name for feature in stage.input_description}
            try:
                values |= stage.predict({name: value for name, value in values.items() if name in wanted})
            except PredictionError as error:
                raise PredictionError(f"{label} of the pipeline: {error}") from error
            except InputError as error:
                raise InputError(f"{label} of the pipeline: {error}") from error
        lacking = [feature.name for feature in self.output_description if feature.name not in values]
        if lacking:
            raise InputError(f"the pipeline promises an output {lacking[0]}, which is an input that was not given")
        return {feature.name: as_described(feature, values[feature.name]) for feature in self.output_description}


def check_kind(promised: Any, of_model: Any) -> None:
    """InputError for an array of another kind of number than the model that gives it says: fractions would be lost."""
    kinds = [features.ARRAYS.get(int(feature.type.multiArrayType.dataType)) for feature in (promised, of_model)]
    if promised.type.WhichOneof("Type") == of_model.type.WhichOneof("Type") == "multiArrayType":
        names = [np.dtype(kind).name if kind is not None else "nothing" for kind in kinds]
        if kinds[0] is None or kinds[1] is None or not fits_in(np.dtype(kinds[1]), np.dtype(kinds[0])):
            raise InputError(
                f"the pipeline promises its output {promised.name} as {names[0]}, the model that gives it has "
                f"{names[1]}; convert the models again"
            )


def as_described(feature: Any, value: Any) -> Any:
    """An array in the type that the pipeline states for its output; anything else as it is."""
    if feature.type.WhichOneof("Type") == "multiArrayType" and isinstance(value, np.ndarray):
        return value.astype(features.ARRAYS.get(int(feature.type.multiArrayType.dataType), np.float32), copy=False)
    return value
