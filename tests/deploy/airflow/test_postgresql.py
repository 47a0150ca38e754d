"""Airflow on a PostgreSQL server of its own, as in production."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.databases import needs_postgresql
from tests.deploy.airflow.environment import needs_airflow
from tests.deploy.airflow.running import Airflow, left, stand_in
from tools.database_servers import PASSWORD, PostgreSQL

pytestmark = [pytest.mark.airflow, needs_airflow, needs_postgresql]


def test_a_night_on_postgresql(tmp_path: Path):
    with PostgreSQL("airflow", "airflow") as server:
        address = f"postgresql+psycopg2://airflow:{quote(PASSWORD)}@127.0.0.1:{server.port}/airflow"
        airflow = Airflow(tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=address)
        try:
            airflow.set(python=stand_in(tmp_path, evaluate=3))
            airflow.ready()
            assert airflow.ended(airflow.begin("night-1")) == "success", airflow.told()
            rows = server.query("select run_id, state from dag_run", "airflow")
            assert rows.split() == ["night-1|success"]
            assert not (tmp_path / "state/airflow.db").exists()
            airflow.process.terminate()
            assert airflow.process.wait(180) == 0
            assert not left(tmp_path)
        finally:
            for process in left(tmp_path):
                process.kill()
