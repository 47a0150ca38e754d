"""The database of ML Metadata is checked when the configuration is read, and never holds a password."""

import pytest

from pipeline.config import profile
from pipeline.metadata.settings import PASSWORD, Database

WHOLE = {"backend": "postgresql", "host": "db.example.org", "database": "mlmd", "user": "ada"}


def loaded(**metadata: object) -> Database:
    return profile.load("default", {"metadata": metadata}).metadata


def test_a_file_under_the_root_is_the_default():
    assert profile.load("default").metadata == Database(backend="sqlite")


@pytest.mark.parametrize(("backend", "port"), [("mysql", 3306), ("postgresql", 5432)])
def test_a_server_has_its_usual_port(backend, port):
    assert loaded(**{**WHOLE, "backend": backend}).address == ("db.example.org", port)
    assert loaded(**{**WHOLE, "backend": backend, "port": 7}).address == ("db.example.org", 7)


def test_a_table_of_a_profile_is_read(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'steps = 7\n[metadata]\nbackend = "mysql"\nhost = "localhost"\ndatabase = "d"\nuser = "u"\n'
    )
    assert profile.load(str(mine)).metadata.name == "mysql database d on 127.0.0.1:3306"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backend": "oracle"}, "metadata.backend: must be 'sqlite', 'mysql' or 'postgresql'"),
        ({"host": ""}, 'backend = "postgresql" needs host'),
        ({"user": "", "database": ""}, 'backend = "postgresql" needs database, user'),
        ({"port": 70000}, "metadata.port: must be at most 65535; received 70000"),
        ({"backend": "sqlite"}, 'backend = "sqlite" takes no host, database, user'),
        ({"hots": "x"}, "metadata.hots: "),
    ],
)
def test_what_cannot_be_connected_to_is_told(change, said):
    with pytest.raises(profile.ConfigError) as error:
        loaded(**{**WHOLE, **change})
    assert said in str(error.value)


@pytest.mark.parametrize("value", [{**WHOLE, "password": "hunter2"}, "mysql://ada:hunter2@db/mlmd"])
def test_a_password_is_refused_and_not_shown(value):
    with pytest.raises(profile.ConfigError) as error:
        profile.load("default", {"metadata": value})
    assert "hunter2" not in str(error.value)
    assert "metadata: " in str(error.value)
    if isinstance(value, dict):
        assert f"set {PASSWORD} in the environment" in str(error.value)
