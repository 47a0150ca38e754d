"""The setting `beam`: what it takes, and that no result depends on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import profile
from pipeline.reuse import unchanged
from pipeline.root import Root

MANY = {"options": {"direct_running_mode": "multi_processing", "direct_num_workers": 2}}


def test_a_table_of_a_profile_survives_print_config(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(
        '[beam]\nrunner = "PortableRunner"\n[beam.options]\njob_endpoint = "localhost:8099"\n'
        'environment_type = "LOOPBACK"\nexperiments = ["a", "b"]\nstreaming = true\n'
    )
    config = profile.load(str(tmp_path / "mine.toml"))
    assert config.beam["runner"] == "PortableRunner"
    assert config.beam["options"]["streaming"] is True
    (tmp_path / "printed.toml").write_text(profile.to_toml(config))
    assert profile.load(str(tmp_path / "printed.toml")) == config


@pytest.mark.parametrize("value", [3, "FnApiRunner", {"runners": "a"}, {"runner": 3}, {"options": []}])
def test_anything_else_than_a_runner_and_options_is_refused(value: object):
    with pytest.raises(profile.ConfigError, match="beam: "):
        profile.load("default", {"beam": value})


def test_another_engine_is_no_change(tmp_path: Path):
    plain = profile.load("default", {"data": tmp_path})
    other = profile.load("default", {"data": tmp_path, "beam": MANY})
    assert plain.beam != other.beam
    root = Root.at(tmp_path / "root")
    assert unchanged.given(plain, root, {}) == unchanged.given(other, root, {})


def test_a_configuration_without_it_loads_no_beam():
    code = (
        "import sys; from pipeline.config import profile; profile.load(); print('apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
