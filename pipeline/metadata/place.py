"""Which store of ML Metadata a root has, and by which names the root is known there.

A file in the root names the database, without the password, so that every command finds it; and the root's
own name in the database, which the root keeps wherever it is moved.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from pydantic import ValidationError

from pipeline.metadata.settings import PASSWORD, SQLITE, Database
from pipeline.process.exit_codes import BAD_INPUT, FAILED, INTERRUPTED
from pipeline.root import Root
from unet.files import atomic_write, raise_passing
from unet.registry.versions import MODEL_NAME


class StoreError(RuntimeError):
    """ML Metadata cannot be read; the message is a sentence that says why, `code` the exit code."""

    code = FAILED


class Unreachable(StoreError):
    """The server does not answer: the same command, run again later, goes on."""

    code = INTERRUPTED


class Refused(StoreError):
    """The server answers, but not to this user or for this database; or its driver is missing."""

    code = BAD_INPUT


@dataclasses.dataclass(frozen=True)
class Place:
    """A database that a root shares with others.

    Attributes:
        where: the database.
        pipeline: name of the root's pipeline in it.
        root: path of the root when a run last began.
    """

    where: Database
    pipeline: str
    root: str


def place_of(root: Root) -> Place | None:
    """Returns the database that a root shares; None if it has a file of its own, or nothing yet.

    Raises:
        StoreError: the file that tells it is damaged.
        OSError: it could not be read for a reason that may pass.
    """
    try:
        values = json.loads(root.metadata_place.read_text(encoding="utf-8"))
        return Place(Database(**values["database"]), str(values["pipeline"]), str(values["root"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise_passing(error)
        raise StoreError(
            f"{root.metadata_place}: cannot be read, so the database of this root is not known: restore it"
        ) from None


def new_place(root: Root, where: Database) -> Place:
    """Makes a name for a root that begins to share a database."""
    return Place(where, f"{MODEL_NAME}-{secrets.token_hex(6)}", str(root.path))


def write_place(root: Root, place: Place) -> None:
    """Writes the file that tells which database the root shares."""
    values = {"database": place.where.model_dump(), "pipeline": place.pipeline, "root": place.root}
    with atomic_write(root.metadata_place) as file:
        json.dump(values, file, indent=1)


def store_name(root: Root) -> str:
    """The store of a root in words, for sentences."""
    place = place_of(root)
    return place.where.name if place else str(root.metadata)


def pipeline_name(root: Root) -> str:
    """Returns the name of the root's pipeline in ML Metadata, which no other root in the same store has."""
    place = place_of(root)
    return place.pipeline if place else MODEL_NAME


def run_name(pipeline: str, run_id: str) -> str:
    """Returns the name of a run in ML Metadata: runs of two roots may have the same id.

    Args:
        pipeline: name of the root's pipeline in ML Metadata.
        run_id: id of the run.
    """
    return run_id if pipeline == MODEL_NAME else f"{pipeline}.{run_id}"


def connection(root: Root) -> mlmd.ConnectionConfig:
    """Returns the configuration of the connection to a root's store, which it may create if it is a file."""
    if place := place_of(root):
        return connection_to(place.where)
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(root.metadata)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


def connection_to(where: Database) -> mlmd.ConnectionConfig:
    """Returns the configuration of a connection to a server, with the password of the environment."""
    config = mlmd.ConnectionConfig()
    host, port = where.address
    server: Any = config.mysql if where.backend == "mysql" else config.postgresql
    server.host, server.user, server.skip_db_creation = host, where.user, True
    server.password = os.environ.get(PASSWORD, "")
    if where.backend == "mysql":
        server.port, server.database = port, where.database
    else:
        server.port, server.dbname = str(port), _quoted(where.database)
        server.user, server.password = _quoted(server.user), _quoted(server.password)
    return config


def _quoted(text: str) -> str:
    """A text as a value of PostgreSQL's connection strings, which ML Metadata makes without quotes."""
    if not set(text) & set(" \t\n'\\"):
        return text
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"


def require_same(root: Root, where: Database) -> None:
    """Raises `Refused` if a root has begun with another store than that of the configuration.

    Args:
        root: root folder of the run.
        where: the store of the configuration.
    """
    place = place_of(root)
    found = "" if not root.has_metadata else place.where.name if place else str(root.metadata)
    asked = str(root.metadata) if where.backend == SQLITE else where.name
    if found and found != asked:
        raise Refused(
            f"{root.path}: what its runs did is in {found}, and metadata names {asked}: set metadata to the "
            "former, or give another --root"
        )
