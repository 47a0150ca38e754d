"""A job service that is not there is told before anything starts."""

import socket
from pathlib import Path

import pytest

from data.synthetic import write_cells
from pipeline.engine.job_service import require_job_service
from tests.command_line import call
from unet.errors import BadInput


@pytest.fixture
def closed() -> str:
    """An address on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_run_ends_with_2_before_it_begins(tmp_path: Path, closed: str):
    write_cells(tmp_path / "data", 3)
    options = f'{{job_endpoint="{closed}", environment_type="LOOPBACK"}}'
    beam = f'beam={{runner="PortableRunner", options={options}}}'
    done = call("run", "--data", tmp_path / "data", "--root", tmp_path / "root", "--set", beam)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"no job service answers at {closed}" in done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("address", ["nowhere", "localhost:", "localhost:99999", ":8099"])
def test_what_is_no_address_is_told(address: str):
    with pytest.raises(BadInput, match="give HOST:PORT"):
        require_job_service("PortableRunner", {"job_endpoint": address})


def test_without_an_address_nobody_is_asked():
    require_job_service("FnApiRunner", {})
    require_job_service("PortableRunner", {"job_endpoint": "embed"})
