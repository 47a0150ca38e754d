"""The lock of Airflow's environment."""

import pytest
from packaging.requirements import Requirement

from tests.deploy.airflow.environment import CHECKOUT

AIRFLOW = CHECKOUT / "deploy/airflow"
LOCK = (AIRFLOW / "requirements.lock").read_text()


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_python_gets_the_same_airflow_and_both_drivers(python: str):
    pins = [Requirement(line.rstrip("\\ ")) for line in LOCK.splitlines() if line[:1].isalnum()]
    on = {"python_version": python, "python_full_version": f"{python}.0"}
    found = {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(on)}
    assert found["apache-airflow"].startswith("==3.3.")
    assert {"asyncpg", "psycopg2-binary", "apache-airflow-providers-standard"} <= found.keys()
