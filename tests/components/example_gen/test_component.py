"""What the driver puts into the cache key, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.portable import data_types
from tfx.types.standard_artifacts import Examples

from components.example_gen.component import Driver
from data.synthetic import write_cells
from pipeline.config.settings import PipelineConfig
from unet.errors import BadInput


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_cells(tmp_path / "data", 6, (32, 32))
    return tmp_path / "data"


def drive(data: Path, tmp_path: Path, **change: Any) -> Any:
    """What the driver answers for a folder, read by these settings."""
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    settings = PipelineConfig(data=data, **change).reading(tmp_path / "splits.json")
    properties = {
        "input_base": str(data),
        "settings": settings.model_dump_json(),
        "source_file": str(tmp_path / "source.json"),
    }
    examples = Examples()
    examples.uri = "/examples/1"
    info = data_types.ExecutionInfo(exec_properties=properties, output_dict={"examples": [examples]})
    return Driver(metadata.Metadata(config)).run(info)


def key(output: Any) -> dict[str, str]:
    return {name: value.string_value for name, value in output.exec_properties.items()}


def test_the_key_holds_the_fingerprint_and_not_where_the_data_lie(data: Path, tmp_path: Path):
    output = drive(data, tmp_path)
    found = key(output)
    assert (found.pop("input_base"), found.pop("settings")) == ("", "")
    [examples] = output.output_artifacts["examples"].artifacts
    assert found == {"fingerprint": examples.custom_properties["fingerprint"].string_value}
    assert len(found["fingerprint"]) == 64
    assert examples.uri == "/examples/1"


def test_the_executor_gets_folder_and_settings_by_a_file(data: Path, tmp_path: Path):
    drive(data, tmp_path, mask_suffix="-seg")
    source = json.loads((tmp_path / "source.json").read_text())
    assert source["folder"] == str(data)
    assert json.loads(source["settings"])["mask_suffix"] == "-seg"


def test_a_moved_folder_has_the_same_key_and_a_changed_file_another(data: Path, tmp_path: Path):
    before = key(drive(data, tmp_path))
    moved = data.rename(tmp_path / "moved")
    assert key(drive(moved, tmp_path)) == before
    (moved / "images/cell_000.png").write_bytes((moved / "images/cell_001.png").read_bytes())
    assert key(drive(moved, tmp_path)) != before


def test_a_folder_without_images_stops_the_run(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="empty"):
        drive(tmp_path / "empty", tmp_path)
    assert not (tmp_path / "source.json").exists()
