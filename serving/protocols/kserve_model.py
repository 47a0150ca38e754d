"""The model for KServe: its name, whether it is ready, and its inputs and outputs."""

from __future__ import annotations

from typing import Any

from kserve.model import InferenceModel

from serving.model.versions import Versions
from serving.protocols.open_inference import tensors_of


class VersionedModel(InferenceModel):
    """Describes the served version for KServe; predictions do not use this class."""

    def __init__(self, name: str, versions: Versions) -> None:
        super().__init__(name)
        self._versions = versions

    async def healthy(self) -> bool:
        """Whether a version is loaded."""
        return self._versions.version is not None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Returns the inputs of the default signature."""
        with self._versions.current() as model:
            return tensors_of(model.signature())[0]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Returns the outputs of the default signature."""
        with self._versions.current() as model:
            return tensors_of(model.signature())[1]

    async def __call__(self, body: Any, headers: Any = None, verb: Any = None) -> Any:
        """Is never called: `serving.model.predictor` runs predictions."""
        raise NotImplementedError
