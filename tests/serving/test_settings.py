"""The server's command line: what it takes, and a sentence about what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.settings import MEBIBYTE, Settings, parse


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
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: --{flag} must be above 0")


@pytest.mark.parametrize(("flag", "name"), [("queue", "queue"), ("grace-seconds", "grace_seconds"),
                                            ("threads", "threads")])  # fmt: skip
def test_what_may_be_nothing_is_not_below_it(
    flag: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert getattr(parse(["--model-dir", str(tmp_path), f"--{flag}", "0"]), name) == 0
    with pytest.raises(SystemExit) as ended:
        parse(["--model-dir", str(tmp_path), f"--{flag}", "-1"])
    assert ended.value.code == 2
    assert "must not be negative" in capsys.readouterr().err.splitlines()[-1]


def test_a_word_where_a_number_belongs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        parse(["--model-dir", str(tmp_path), "--http-port", "x"])
    assert "invalid int value" in capsys.readouterr().err


def test_without_a_folder_the_advice_says_how_to_get_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        parse(["--model-dir", "/no/such"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "there is no folder /no/such: train a model first (make run), or name a folder" in line


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
