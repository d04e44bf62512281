"""What a saved model says of itself: the part that programs and pipelines share of coremltools' `MLModel`."""

from __future__ import annotations

from typing import Any


class Described:
    """A model of which `spec`, its Model message, is known."""

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    def get_spec(self) -> Any:
        return self.spec

    @property
    def user_defined_metadata(self) -> dict[str, str]:
        return dict(self.spec.description.metadata.userDefined)

    @property
    def short_description(self) -> str:
        return str(self.spec.description.metadata.shortDescription)

    @property
    def author(self) -> str:
        return str(self.spec.description.metadata.author)

    @property
    def license(self) -> str:
        return str(self.spec.description.metadata.license)

    @property
    def version(self) -> str:
        return str(self.spec.description.metadata.versionString)
