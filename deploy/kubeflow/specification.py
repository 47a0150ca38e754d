"""The specification of a Kubeflow pipeline: each stage of a run is a container of the project's image.

Kubeflow gets no graph of components: its own compiler refuses resolvers, and TFX's those with strategies of
one's own. So a stage is a command line, as for every other scheduler, and what it shares with the next one is
the root folder, on a volume.
"""  # without `from __future__ import annotations`: kfp reads the types of functions

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, kubernetes

from pipeline import stages

COMMAND = ["/app/.venv/bin/python", "/app/run_pipeline.py"]  # in the image; see deploy/container/Dockerfile


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for; checked by `pipeline.publishing.kubeflow`, in the pipeline's own interpreter."""

    words: list[str]  # of the command line, which all parts of a run share
    image: str
    claim: str
    mount: str
    cpu: str
    memory: str
    gpus: int
    gpu_type: str
    user: int
    retries: int
    retry_seconds: int


def compiled(request: Request) -> str:
    """Returns the specification as YAML: what runs, and what of Kubernetes it runs on.

    Args:
        request: the image, the command line, the volume and the resources.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "unet.yaml")
        compiler.Compiler().compile(_pipeline(request), str(path))
        return path.read_text(encoding="utf-8")


def _pipeline(request: Request) -> Any:
    @dsl.pipeline(name="unet", description="Train, evaluate and push the U-Net")
    def unet() -> None:
        before = None
        for name in stages.NAMES:
            # Known only when the run begins, so an input; it stays when somebody retries the run.
            task = _component(name, request)(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
            if before:
                task.after(before)
            before = task
            # What a stage makes is in the root, and whether it is needed the pipeline itself knows.
            task.set_caching_options(False)
            # Kubeflow cannot tell exit codes apart. A repeated part goes on, or gives its answer again.
            task.set_retry(request.retries, backoff_duration=f"{request.retry_seconds}s", backoff_factor=1)
            task.set_cpu_request(request.cpu).set_cpu_limit(request.cpu)
            task.set_memory_request(request.memory).set_memory_limit(request.memory)
            if name == "train" and request.gpus:
                task.set_accelerator_type(request.gpu_type).set_accelerator_limit(request.gpus)
            kubernetes.mount_pvc(task, request.claim, request.mount)
            kubernetes.set_security_context(task, run_as_user=request.user, run_as_non_root=True)

    return unet


def _component(stage: str, request: Request) -> Any:
    def part(run_id: str) -> dsl.ContainerSpec:
        words = ["run", "--only", stage, "--run-id", run_id, *request.words]
        return dsl.ContainerSpec(image=request.image, command=COMMAND, args=words)

    part.__name__ = stage  # what the page of a run calls it
    return dsl.container_component(part)
