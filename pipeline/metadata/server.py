"""Asks a database server by its own driver what ML Metadata cannot: whether it answers, and for a lock."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from pipeline.metadata.place import Place, Refused, Unreachable, place_of
from pipeline.metadata.settings import PASSWORD, Database
from pipeline.root import Root

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_LOCK = 300
_LOCK = 0x756E6574  # PostgreSQL's advisory locks have numbers
_DRIVERS = {"mysql": "pymysql", "postgresql": "psycopg"}
# What a server answers to whom it does not know, or for what is not there. All else may pass.
_REFUSALS_OF_MYSQL = (1044, 1045, 1049, 1130, 1142, 1251, 1698, 2026, 2059)
_WANTS_TLS = re.compile(r"no encryption|insecure transport")
_REFUSED = re.compile(r"FATAL|no password|certificate|SSL", re.IGNORECASE)
_PASSES = re.compile(r"starting up|shutting down|recovery|too many|slots|terminating", re.IGNORECASE)
# Rows of a root's own pipeline: their number, and when one was last written.
_STATE = """
SELECT COUNT(*), MAX(t.last_update_time_since_epoch) FROM {table} t
JOIN {link} l ON l.{key} = t.id JOIN Context c ON c.id = l.context_id JOIN Type k ON k.id = c.type_id
WHERE k.name = 'pipeline' AND c.name = %s
"""


@contextlib.contextmanager
def connected(where: Database) -> Iterator[Any]:
    """Connects to a server, and yields the driver's cursor.

    Raises:
        Unreachable: it does not answer.
        Refused: it knows no such user or database, or the driver is not installed.
    """
    try:
        link = _connect_mysql(where) if where.backend == "mysql" else _connect_postgresql(where)
    except ImportError:
        raise Refused(
            f"{where.name} needs {_DRIVERS[where.backend]}, which pip install 'unet-pipeline[team]' adds"
        ) from None
    try:
        yield link.cursor()
    finally:
        link.close()


def require_answer(where: Database) -> None:
    """Raises `Unreachable` or `Refused` if a server cannot be used."""
    with connected(where):
        pass


@contextlib.contextmanager
def locked(where: Database) -> Iterator[None]:
    """Keeps all others out that ask for this lock, on whatever machine; it ends with the connection.

    Raises:
        Unreachable: another one keeps it for minutes.
    """
    with connected(where) as cursor:
        if where.backend == "mysql":
            cursor.execute("SELECT GET_LOCK(%s, %s)", (f"unet {where.database}"[:64], _SECONDS_TO_LOCK))
            got = cursor.fetchone()[0] == 1
        else:
            import psycopg

            cursor.execute(f"SET statement_timeout = '{_SECONDS_TO_LOCK}s'")
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
                got = True
            except psycopg.errors.QueryCanceled:
                got = False
        if not got:
            raise Unreachable(f"{where.name}: another run keeps it locked: ask again")
        yield


@contextlib.contextmanager
def alone(root: Root) -> Iterator[None]:
    """Keeps all others out of the database that a root shares; does nothing for a root that shares none."""
    if place := place_of(root):
        with locked(place.where):
            yield
    else:
        yield


def state(place: Place) -> list[Any]:
    """Returns what changes with anything that is written of a root: numbers of rows, and their last times.

    Args:
        place: the database, and the root's name in it.
    """
    found = []
    with connected(place.where) as cursor:
        for table, link, key in (
            ("Artifact", "Attribution", "artifact_id"),
            ("Execution", "Association", "execution_id"),
        ):
            cursor.execute(_STATE.format(table=table, link=link, key=key), (place.pipeline,))
            found += list(cursor.fetchone())
    return found


def _connect_mysql(where: Database) -> Any:
    import pymysql

    host, port = where.address
    try:
        return pymysql.connect(
            host=host,
            port=port,
            user=where.user,
            password=os.environ.get(PASSWORD, "").encode(),  # as ML Metadata does; the driver took Latin-1
            database=where.database,
            connect_timeout=_SECONDS_TO_CONNECT,
        )
    except (pymysql.MySQLError, RuntimeError) as error:  # the latter: a way to log in that needs a library
        number, text = error.args if len(error.args) == 2 else (2059, str(error))
        raise _told(where, str(text), number in _REFUSALS_OF_MYSQL) from None


def _connect_postgresql(where: Database) -> Any:
    import psycopg

    host, port = where.address
    try:
        return psycopg.connect(
            host=host,
            port=port,
            user=where.user,
            password=os.environ.get(PASSWORD, ""),
            dbname=where.database,
            connect_timeout=_SECONDS_TO_CONNECT,
            autocommit=True,
            sslmode="disable",  # as in ML Metadata, whose client was built without TLS
        )
    except psycopg.Error as error:
        text = str(error)
        raise _told(where, text, bool(_REFUSED.search(text) and not _PASSES.search(text))) from None


def _told(where: Database, text: str, is_refusal: bool) -> Unreachable | Refused:
    text = " ".join(text.split()).rpartition("FATAL: ")[2].strip()
    if _WANTS_TLS.search(text):
        return Refused(
            f"{where.name} wants TLS, which ML Metadata's client cannot do: name the port of an encrypted "
            f"tunnel on this machine instead ({text})"
        )
    if not is_refusal:
        return Unreachable(f"{where.name} does not answer ({text}): run the same command again later")
    # MariaDB says no more to whom it wants TLS of.
    hint = (
        f"is {PASSWORD} right, and may the user come without TLS?"
        if os.environ.get(PASSWORD)
        else f"{PASSWORD} is not set"
    )
    return Refused(f"{where.name} refuses user {where.user} ({text}): {hint}")
