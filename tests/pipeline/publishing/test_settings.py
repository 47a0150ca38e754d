"""The settings of publishing that are refused."""

import pytest
from pydantic import ValidationError

from pipeline.publishing.settings import Publishing


def test_only_files_that_node_exporter_reads_are_taken():
    assert str(Publishing(prometheus_file="~/unet.prom").prometheus_file).endswith("/unet.prom")
    assert "~" not in str(Publishing(prometheus_file="~/unet.prom").prometheus_file)
    with pytest.raises(ValidationError, match=r"node_exporter reads files \*\.prom alone"):
        Publishing(prometheus_file="unet.txt")


def test_a_second_folder_is_the_same_from_wherever_a_command_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Publishing(push_to="models/unet").push_to == str(tmp_path / "models/unet")
    assert Publishing(push_to="~/unet").push_to.startswith("/")
    assert Publishing(push_to="").push_to == ""


def test_an_address_with_a_password_is_refused_before_the_run():
    with pytest.raises(ValidationError, match="put no password into the address"):
        Publishing(push_to="ftp://ada:secret@host/unet")
