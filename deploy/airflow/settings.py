"""What Airflow runs, and when: one TOML file, checked before anything starts.

The file's path stands in the environment, as each process of Airflow reads the DAG anew.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = "UNET_AIRFLOW"  # holds the path of the TOML file; unset or empty: the defaults
_OWN = ("--data", "--root", "--only", "--run-id")  # what the DAG says itself
_MARGIN_HOURS = 1  # the root is kept for a run so much longer than its approval may take


class BadSettings(Exception):
    """The settings cannot be used; the message has a sentence for each mistake."""


class Settings(BaseModel):
    """The settings of the DAG and of `make airflow`; paths are relative to the checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field("data/nuclei", min_length=1, description="what `run --data` takes")
    root: str = Field("runs", min_length=1, description="what `run --root` takes")
    arguments: tuple[str, ...] = Field((), description="further words of `run`, the same for all parts")
    python: str = Field(".venv/bin/python", description="the interpreter of the pipeline")

    schedule: str = Field("0 2 * * *", description="five fields of cron; empty: no fixed times")
    timezone: str = Field("UTC", description="time zone of the schedule, such as Europe/Berlin")
    arrival_flag: str = Field(
        "", description="a file whose appearance starts a run, and which is then deleted; empty: none"
    )
    retries: int = Field(
        20, ge=0, le=1000, description="how often a task is repeated that was interrupted (75) or killed"
    )
    retry_seconds: int = Field(60, ge=1, description="time before such a task is repeated")

    approval: bool = Field(False, description="ask a person before a model is pushed")
    approval_hours: float = Field(8, gt=0, description="after this time without an answer nothing is pushed")

    webhook: str = Field("", pattern=r"^(https?://\S+)?$", description="gets a POST for each run that failed")
    mail_to: tuple[str, ...] = Field((), description="addresses that get a mail for each run that failed")
    mail_from: str = Field("unet@localhost", description="the sender of the mails")
    smtp: str = Field("127.0.0.1:25", pattern=r"^\S+:\d+$", description="host and port of the mail server")

    port: int = Field(8080, ge=1, le=65535, description="port of Airflow's page and API, on 127.0.0.1")
    state: str = Field("runs/airflow", min_length=1, description="folder of Airflow's database and logs")

    @field_validator("arguments")
    @classmethod
    def _leave_ours(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if word.split("=")[0] in _OWN:
                raise ValueError(f"{word} is no further word: the DAG gives it itself")
        return words

    @field_validator("schedule")
    @classmethod
    def _five_fields(cls, schedule: str) -> str:
        if schedule and not re.fullmatch(r"[\d*/,\-A-Za-z]+( [\d*/,\-A-Za-z]+){4}", schedule):
            raise ValueError(f"{schedule!r} is not five fields of cron, such as '0 2 * * *'")
        return schedule

    @model_validator(mode="after")
    def _keep_the_root(self) -> Self:
        if self.approval and any(word.startswith("lease_minutes=") for word in self.arguments):
            raise ValueError("with approval, lease_minutes follows from approval_hours: leave it out")
        return self

    def path(self, value: str) -> Path:
        """Returns the absolute path of a setting that is a path."""
        return CHECKOUT / Path(value).expanduser()

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the command line that all parts of a run share."""
        kept: tuple[str, ...] = ()
        if self.approval:  # the root has to wait for the person
            kept = ("--set", f"lease_minutes={round(60 * (self.approval_hours + _MARGIN_HOURS))}")
        return ("--data", self.data, "--root", self.root, *self.arguments, *kept)


def load(path: str | None = None) -> Settings:
    """Reads the settings.

    Args:
        path: the TOML file; None: what the environment names; empty: the defaults.

    Raises:
        BadSettings: the file cannot be read, or a setting is wrong.
    """
    path = os.environ.get(VARIABLE, "") if path is None else path
    values: dict[str, Any] = {}
    try:
        if path:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Settings.model_validate(values)
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise BadSettings("\n".join(f"{path}: {_sentence(mistake)}" for mistake in error.errors())) from None


def _sentence(mistake: ErrorDetails) -> str:
    """Says what is wrong with a setting."""
    name = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "extra_forbidden":
        return f"there is no setting {name}; there are {', '.join(Settings.model_fields)}"
    told = mistake["msg"].removeprefix("Value error, ")
    return f"{name}: {told}" if name else told
