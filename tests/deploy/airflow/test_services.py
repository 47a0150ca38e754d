import os
import socket

import pytest

from deploy.airflow.services import NotStarted, environment, hold, require_port
from deploy.airflow.settings import CHECKOUT, VARIABLE, Settings


def test_airflow_stays_on_this_machine_and_in_its_folder():
    made = environment(Settings(port=1234, state="/state"), "", {"PATH": "/bin"})
    assert made["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert made["AIRFLOW__API__PORT"] == "1234"
    assert made["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "sqlite:////state/airflow.db"
    assert made["AIRFLOW_HOME"] == "/state"
    assert made[VARIABLE] == ""
    assert made["PYTHONPATH"] == str(CHECKOUT)
    assert made["PATH"].endswith(f"{os.pathsep}/bin")


def test_what_the_shell_sets_counts_but_for_what_follows_from_the_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = "postgresql+psycopg2://airflow@127.0.0.1/airflow"
    given = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database, "AIRFLOW__API__PORT": "9"}
    made = environment(Settings(), "cells.toml", given)
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == database
    assert made["AIRFLOW__API__PORT"] == "8080"
    assert made[VARIABLE] == str(tmp_path / "cells.toml")


def test_airflow_asks_itself_without_a_proxy():
    made = environment(Settings(), "", {"no_proxy": "example.org", "http_proxy": "http://proxy:3128"})
    assert (made["NO_PROXY"], made["no_proxy"]) == ("127.0.0.1", "example.org,127.0.0.1")


def test_a_port_in_use_is_told():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(NotStarted, match=f"port {port}: Address already in use; choose another"):
            require_port(port)
    require_port(port)


def test_two_do_not_share_a_folder(tmp_path):
    with hold(tmp_path / "state"), pytest.raises(NotStarted, match="Airflow runs there already"):
        hold(tmp_path / "state")
    hold(tmp_path / "state").close()
