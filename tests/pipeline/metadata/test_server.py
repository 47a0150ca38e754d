"""Whether a server answers, to whom, and that one at a time makes the tables; the last tests start some."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.store import make_usable, require_store
from pipeline.metadata import server, store
from pipeline.metadata.place import Refused, Unreachable, connection_to, place_of
from pipeline.metadata.settings import PASSWORD, Database
from pipeline.root import Root
from tests.databases import needs_mariadb, needs_postgresql
from tools import database_servers as servers

CHECKOUT = Path(__file__).parents[3]
HERE = Database(backend="mysql", host="127.0.0.1", port=1, database="mlmd", user="ada")
BACKENDS = ("mysql", "postgresql")


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_that_is_not_there_may_come_back(backend: str, closed: int, tmp_path: Path):
    where = HERE.model_copy(update={"backend": backend, "port": closed})
    with pytest.raises(Unreachable, match=f"on 127.0.0.1:{closed} does not answer") as error:
        require_store(Root.at(tmp_path), where)
    assert error.value.code == 75
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_lost_for_minutes_is_told(backend: str, closed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "_SECONDS_TO_RETURN", 0.0)
    where = HERE.model_copy(update={"backend": backend, "port": closed})
    with pytest.raises(Unreachable, match=r"was lost .* run the same command again, it goes on"):
        store.connect(connection_to(where))


@pytest.mark.parametrize(("backend", "driver"), [("mysql", "pymysql"), ("postgresql", "psycopg")])
def test_a_missing_driver_is_named(backend: str, driver: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(Refused, match=f"needs {driver}, which pip install 'unet-pipeline.team.' adds"):
        server.require_answer(HERE.model_copy(update={"backend": backend}))


@pytest.fixture(params=["mysql", "postgresql"])
def running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.Server]:
    """A server of each kind."""
    monkeypatch.setenv(PASSWORD, servers.PASSWORD)
    with (servers.MariaDB if request.param == "mysql" else servers.PostgreSQL)() as found:
        yield found


def database(found: servers.Server, **change: object) -> Database:
    values = {"backend": found.backend, "host": "127.0.0.1", "port": found.port, "database": "mlmd"}
    return Database(**{**values, "user": "ada", **change})


@pytest.mark.server
@needs_mariadb
@needs_postgresql
def test_who_is_not_known_is_refused_at_once(running: servers.Server, monkeypatch: pytest.MonkeyPatch):
    server.require_answer(database(running))
    for change in ({"user": "eve"}, {"database": "other"}):
        with pytest.raises(Refused, match="refuses user") as error:
            server.require_answer(database(running, **change))
        assert error.value.code == 2
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(Refused, match=f"is {PASSWORD} right"):
        server.require_answer(database(running))
    monkeypatch.delenv(PASSWORD)
    with pytest.raises(Refused, match=f"{PASSWORD} is not set"):
        server.require_answer(database(running))


@pytest.mark.server
@needs_mariadb
@needs_postgresql
def test_a_server_that_wants_tls_is_told_before_ml_metadata_fails(running: servers.Server):
    if running.backend == "mysql":
        running.query("SET GLOBAL require_secure_transport = ON", "mysql")
    else:
        access = running.folder / "data" / "pg_hba.conf"
        access.write_text(access.read_text().replace("host ", "hostssl "))
        running.query("SELECT pg_reload_conf()")
    # PostgreSQL reads its files a moment later.
    with pytest.raises(Refused, match=r"tunnel on this machine|come without TLS") as error:  # noqa: PT012
        for _ in range(50):
            server.require_answer(database(running))
            time.sleep(0.1)
    assert error.value.code == 2


@pytest.mark.server
@needs_mariadb
@needs_postgresql
def test_four_that_begin_at_once_make_the_tables_once(running: servers.Server, tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from pipeline.root import Root; "
        "from pipeline.history.store import make_usable; from pipeline.metadata.settings import Database; "
        f"make_usable(Root.at(Path(sys.argv[1])), Database(**{database(running).model_dump()}))"
    )
    roots = [tmp_path / str(number) for number in range(4)]
    begun = []
    for root in roots:
        root.mkdir()
        begun.append(subprocess.Popen([sys.executable, "-c", code, root], cwd=CHECKOUT))
    assert [process.wait() for process in begun] == [0] * 4
    places = [place_of(Root.at(root)) for root in roots]
    assert len({place.pipeline for place in places if place}) == 4
    counted = running.query("SELECT COUNT(*), COUNT(DISTINCT name) FROM Type")
    all_types, names = counted.replace("|", "\t").split()
    assert all_types == names != "0"
    assert running.query("SELECT COUNT(*) FROM MLMDEnv").strip() == "1"


@pytest.mark.server
@needs_mariadb
@needs_postgresql
def test_a_connection_that_the_server_ended_is_renewed_and_texts_come_back(
    running: servers.Server, tmp_path: Path
):
    root, text = Root.at(tmp_path), 'a "quoted" \\"text\\" of C:\\cells, and it\'s ü'
    make_usable(root, database(running))
    before = server.state(place_of(root))  # type: ignore[arg-type]
    opened = store.open_store(root)
    kind = opened.put_context_type(mlmd.ContextType(name="pipeline"))
    place = place_of(root)
    assert place
    context = mlmd.Context(type_id=kind, name=place.pipeline)
    kind = opened.put_artifact_type(mlmd.ArtifactType(name="Model"))
    artifact = mlmd.Artifact(type_id=kind, uri=text)
    artifact.custom_properties["told"].string_value = text
    kind = opened.put_execution_type(mlmd.ExecutionType(name="Trainer"))
    execution = mlmd.Execution(type_id=kind)
    path = mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key="model")])
    opened.put_execution(execution, [(artifact, mlmd.Event(type=mlmd.Event.OUTPUT, path=path))], [context])
    other = opened.put_artifacts([mlmd.Artifact(type_id=artifact.type_id, uri="other")])
    event = mlmd.Event(type=mlmd.Event.INPUT, artifact_id=other[0], execution_id=1)
    event.path.steps.add(key="key")
    event.path.steps.add(index=0)
    opened.put_events([event])
    # PostgreSQL moves a row that is written again behind the others.
    running.query("UPDATE Artifact SET uri = uri WHERE id = 1")
    running.query("UPDATE EventPath SET step_key = step_key WHERE step_key = 'key'")
    assert [one.id for one in opened.get_artifacts_by_id([1, 2])] == [1, 2]
    assert [one.id for one in opened.get_artifacts_by_id([2, 1])] == [2, 1]
    [read] = opened.get_events_by_artifact_ids(other)
    assert [step.WhichOneof("value") for step in read.path.steps] == ["key", "index"]

    running.kill()
    running.start()
    [found] = opened.get_artifacts()
    assert (found.uri, found.custom_properties["told"].string_value) == (text, text)
    assert artifact.uri == text  # what was handed over is as it was
    assert server.state(place) != before
    running.kill()
    with pytest.raises(Unreachable, match="was lost"):
        opened.put_artifacts([found])
