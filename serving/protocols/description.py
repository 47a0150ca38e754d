"""Server and model as the Open Inference Protocol (V2) tells of them, over REST and gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from kserve.utils.numpy_codec import from_np_dtype

from serving.errors import Refused, bad_request, require_model
from serving.model.loaded import Signature
from serving.model.versions import Versions
from serving.protocols.request_body import whole_number

# Triton's name for tensors behind the JSON. Its index of the repository is answered, too, but no client loads
# or unloads anything, so that extension is not claimed.
EXTENSIONS = ["binary_tensor_data"]
SERVER_VERSION = "0.1.0"


class Description:
    """What is told about the server, its model and the served version."""

    def __init__(self, name: str, versions: Versions) -> None:
        self._name, self._versions = name, versions
        self.stopping = False

    def server(self) -> dict[str, Any]:
        """The name of the server and the extensions of the protocol that it answers."""
        return {"name": "unet-serving", "version": SERVER_VERSION, "extensions": EXTENSIONS}

    def require_ready(self) -> None:
        """Refuses the request before a version is loaded, and while the server stops."""
        if self.stopping or self._versions.version is None:
            raise Refused(503, "stopping" if self.stopping else "no version is loaded yet", retry_after=2)

    def model(self, name: str, version: int | None = None) -> dict[str, Any]:
        """The served version, and inputs and outputs of its default signature.

        Args:
            name: name of the model; the request is refused if another one is served.
            version: number of the version; the request is refused if another one is served.
        """
        require_model(name, self._name)
        with self._versions.current(version) as model:
            inputs, outputs = tensors_of(model.signature())
            return {
                "name": name,
                "versions": [str(model.version)],
                "platform": "tensorflow_savedmodel",
                "inputs": inputs,
                "outputs": outputs,
            }

    def require_served(self, name: str, version: int | None = None) -> None:
        """Refuses the request if that version, or any, is not served."""
        require_model(name, self._name)
        with self._versions.current(version):
            pass

    def index(self, ready: bool) -> list[dict[str, str]]:
        """All known versions and their states, as Triton tells them.

        Args:
            ready: whether only served versions are told.
        """
        states = {"AVAILABLE": "READY", "LOADING": "LOADING"}
        found = [
            {
                "name": self._name,
                "version": state["version"],
                "state": states.get(state["state"], "UNAVAILABLE"),
                "reason": state["status"]["error_message"],
            }
            for state in self._versions.status()
        ]
        return [entry for entry in found if entry["state"] == "READY" or not ready]


def version_in(text: str) -> int | None:
    """The version that a gRPC request names, None for any; refuses what is no number."""
    number = whole_number(text)
    if text and number is None:
        raise Refused(404, "the version is no whole number")
    return number


def wants_ready(content: Any) -> bool:
    """Whether a request for the index asks for served versions only; refuses what is no such request."""
    ready = content.get("ready", False) if isinstance(content, dict) else None
    if not isinstance(ready, bool):
        raise bad_request('the body must be a JSON object, in which "ready" is true or false')
    return ready


def tensors_of(signature: Signature) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns inputs and outputs of a signature in the format of the model metadata."""

    def described(specs: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "datatype": from_np_dtype(np.dtype(spec.dtype.as_numpy_dtype)) or spec.dtype.name,
                "shape": [-1 if side is None else side for side in spec.shape.as_list()]
                if spec.shape.rank is not None
                else [-1],
            }
            for name, spec in sorted(specs.items())
        ]

    return described(signature.inputs), described(signature.outputs)
