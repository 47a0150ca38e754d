import re
from pathlib import Path

import pytest

from deploy.airflow.settings import CHECKOUT, VARIABLE, BadSettings, Settings, load


def written(folder: Path, text: str) -> str:
    path = folder / "cells.toml"
    path.write_text(text)
    return str(path)


def test_the_example_shows_every_setting_with_its_default():
    example = CHECKOUT / "deploy/airflow/example.toml"
    assert load(str(example)) == Settings()
    names = re.findall(r"^(\w+) =", example.read_text(), re.M)
    assert names == list(Settings.model_fields)


def test_without_a_file_the_defaults_count(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert load() == Settings()


def test_the_environment_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, written(tmp_path, "port = 1234"))
    assert load().port == 1234


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "there is no setting prot; there are data, root, "),
        ("port = 0", "port: Input should be greater than or equal to 1"),
        ("port =", "not TOML"),
        ('schedule = "every night"', "'every night' is not five fields of cron"),
        ('arguments = ["--root=x"]', "--root=x is no further word"),
        ('arguments = ["--run-id", "x"]', "--run-id is no further word"),
        ('webhook = "example.org"', "webhook: String should match pattern"),
        ('smtp = "localhost"', "smtp: String should match pattern"),
        ('approval = true\narguments = ["--set", "lease_minutes=9"]', "lease_minutes follows from"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, text: str, told: str):
    with pytest.raises(BadSettings, match=re.escape(told)) as caught:
        load(written(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path}/cells.toml: ")
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(BadSettings) as caught:
        load(written(tmp_path, 'prot = 1\nport = 0\nsmtp = "localhost"'))
    assert [line.split(": ")[1].split()[0] for line in str(caught.value).splitlines()] == [
        "smtp", "port", "there"
    ]  # fmt: skip


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(BadSettings, match="No such file"):
        load(str(tmp_path / "none.toml"))


def test_paths_are_those_of_the_checkout_unless_absolute(tmp_path):
    assert Settings().path("runs/airflow") == CHECKOUT / "runs/airflow"
    assert Settings().path(str(tmp_path)) == tmp_path


def test_a_run_that_waits_for_a_person_keeps_the_root_as_long():
    assert "lease_minutes=300" in Settings(approval=True, approval_hours=4).words
    assert not any("lease" in word for word in Settings(approval=False).words)
