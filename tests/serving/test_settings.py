"""The server's command line: what it takes, and a sentence about what makes no sense."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from serving.settings import MEBIBYTE, MOST, Settings, parse


def test_what_is_not_said_has_its_default(tmp_path: Path):
    assert parse(["--model-dir", str(tmp_path)]) == Settings(model_dir=tmp_path)


def test_every_setting_can_be_said(tmp_path: Path):
    words = ["--model-dir", str(tmp_path), "--model-name", "cells", "--http-port", "0", "--queue", "3"]
    settings = parse([*words, "--request-seconds", "1.5", "--access-log"])
    assert settings == Settings(tmp_path, "cells", http_port=0, queue=3, request_seconds=1.5, access_log=True)


@pytest.mark.parametrize(
    "flag",
    ["poll-seconds", "concurrent", "max-body-mib", "max-megapixels", "request-seconds", "receive-seconds"],
)
def test_what_must_be_there_is_above_zero(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parse(["--model-dir", str(tmp_path), f"--{flag}", "1"])
    with pytest.raises(SystemExit) as ended:
        parse(["--model-dir", str(tmp_path), f"--{flag}", "0"])
    assert ended.value.code == 2
    assert f"error: --{flag} must be above 0, not 0" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("flag", "name"), [("queue", "queue"), ("grace-seconds", "grace_seconds"),
                                            ("drain-seconds", "drain_seconds"),
                                            ("threads", "threads")])  # fmt: skip
def test_what_may_be_nothing_is_not_below_it(
    flag: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert getattr(parse(["--model-dir", str(tmp_path), f"--{flag}", "0"]), name) == 0
    with pytest.raises(SystemExit) as ended:
        parse(["--model-dir", str(tmp_path), f"--{flag}", "-1"])
    assert ended.value.code == 2
    assert "must not be negative" in capsys.readouterr().err.splitlines()[-1]


def test_every_number_has_finite_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    numbers = [f for f in fields(Settings) if type(f.default) in (int, float)]
    assert {field.name for field in numbers} == MOST.keys()
    words = ["--model-dir", str(tmp_path)]
    for value in ("1" + "0" * 30, "nan", "inf"):
        chosen = [f for f in numbers if value[0] == "1" or type(f.default) is float]
        flags = [f"--{field.name.replace('_', '-')}" for field in chosen]
        with pytest.raises(SystemExit) as ended:
            parse([*words, *(word for flag in flags for word in (flag, value))])
        assert ended.value.code == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert all(f"{flag} must be" in said for flag in flags)  # all at once


def test_a_word_where_a_number_belongs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        parse(["--model-dir", str(tmp_path), "--http-port", "x"])
    assert "invalid int value" in capsys.readouterr().err


def test_without_a_folder_the_advice_says_how_to_get_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        parse(["--model-dir", "/no/such"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "there is no folder /no/such: train a model first (make run), or name a folder" in line


def test_the_names_that_are_answered_are_those_of_this_machine_and_what_was_said():
    own = {"localhost", "127.0.0.1", "[::1]"}
    assert Settings().known_hosts == own
    assert Settings(host="::1", host_names="Masks.Example, b,").known_hosts == own | {"masks.example", "b"}
    assert Settings(host="127.0.0.2").known_hosts == own | {"127.0.0.2"}
    assert Settings(host="0.0.0.0").known_hosts == frozenset()


def test_signatures_are_an_allow_list(tmp_path: Path):
    assert Settings().signatures == ("serving_default", "colored", "probabilities")
    words = ["--model-dir", str(tmp_path), "--signatures", "serving_default", "evaluate"]
    assert parse(words).signatures == ("serving_default", "evaluate")


def test_no_port_serves_two_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--model-dir", str(tmp_path)]
    assert parse([*words, "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]).metrics_port == 0
    with pytest.raises(SystemExit, match="2"):
        parse([*words, "--metrics-port", "8501"])
    assert "--http-port and --metrics-port are both 8501" in capsys.readouterr().err.splitlines()[-1]


def test_a_certificate_that_cannot_be_used_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match="2"):
        parse(["--model-dir", str(tmp_path), "--tls-certificate", "a.pem"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("--tls-certificate and --tls-key need each other")


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"])
    text = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in text for name in Settings.__dataclass_fields__)


@pytest.mark.parametrize(("name", "expected"), [("", "unet"), ("cells", "cells")])
def test_a_model_is_named_after_its_folder_unless_somebody_names_it(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "unet").mkdir()
    monkeypatch.chdir(tmp_path / "unet")
    assert Settings(Path("."), name).name == expected


def test_eight_of_the_largest_bodies_fit():
    settings = Settings(max_body_mib=3)
    assert settings.max_body == 3 * 2**20 == 3 * MEBIBYTE
    assert settings.max_bodies == 24 * 2**20
