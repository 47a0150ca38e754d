"""The model as KServe knows it: what it is called, whether it is ready, what it takes."""

from __future__ import annotations

from typing import Any

from kserve.model import InferenceModel

from serving.model.versions import Versions
from serving.protocols.open_inference import tensors_of


class VersionedModel(InferenceModel):
    """Tells KServe about the version that is served; predictions do not come this way."""

    def __init__(self, name: str, versions: Versions) -> None:
        super().__init__(name)
        self._versions = versions

    async def healthy(self) -> bool:
        """Whether a version is loaded."""
        return self._versions.version is not None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs of the default signature."""
        with self._versions.current() as model:
            return tensors_of(model.signature())[0]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Outputs of the default signature."""
        with self._versions.current() as model:
            return tensors_of(model.signature())[1]

    async def __call__(self, body: Any, headers: Any = None, verb: Any = None) -> Any:
        """Nothing calls it: `serving.model.predictor` does the work."""
        raise NotImplementedError
