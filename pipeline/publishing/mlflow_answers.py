"""What is read of an MLflow server's answers; whatever else they hold is left alone."""

from __future__ import annotations

from pydantic import BaseModel


class Experiment(BaseModel):
    """An experiment."""

    experiment_id: str
    lifecycle_stage: str = ""


class ExperimentFound(BaseModel):
    """Answer to the name of an experiment."""

    experiment: Experiment


class Pair(BaseModel):
    """A parameter or tag of a run."""

    key: str
    value: str = ""


class Metric(BaseModel):
    """The last point of a metric."""

    key: str
    value: float = 0.0
    timestamp: int = 0
    step: int = 0


class RunInfo(BaseModel):
    """A run by its id, and where its files go."""

    run_id: str
    artifact_uri: str


class RunData(BaseModel):
    """What a run was told."""

    metrics: list[Metric] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class RunThere(BaseModel):
    """A run on the server."""

    info: RunInfo
    data: RunData = RunData()


class RunCreated(BaseModel):
    """Answer to a new run."""

    run: RunThere


class RunsFound(BaseModel):
    """A page of the answer to a search."""

    runs: list[RunThere] = []
    next_page_token: str = ""
