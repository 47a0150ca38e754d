"""The ONNX file of a model answers as its signature `network` does, and says how to use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from unet.export.onnx import convert, metadata
from unet.export.saved_model import write
from unet.network import create_unet
from unet.registry.model_card import write_card
from unet.registry.records import ModelError, digest, training_record
from unet.tiling import Geometry

CLOSE = 1e-5
pytestmark = pytest.mark.usefixtures("loaded_once")
DATASET = {"over": "dataset", "mean": [100.0, 120.0, 140.0], "stddev": [60.0, 50.0, 40.0]}
# What the plain network needs, and no more: runtimes that know these run it, without loops and conditions.
OPERATIONS = {
    "Concat", "Conv", "ConvTranspose", "MaxPool", "Relu", "Reshape", "Slice", "Softmax", "Transpose",
    "Unsqueeze",
}  # fmt: skip


def session(converted: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the refusals that are tested
    return onnxruntime.InferenceSession(
        converted.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> tuple[Path, onnx.ModelProto]:
    """A model of gray images, each normalised by its own numbers, that was never pushed."""
    folder = export_tiny(tmp_path_factory.mktemp("plain") / "model")
    return folder, convert(folder)


POINT = {"aim": "dice", "threshold": 0.25}


@pytest.fixture(scope="module")
def carded(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> tuple[Path, onnx.ModelProto]:
    """A version of colour images, normalised over its data and resized, that decides by a threshold."""
    folder = export_tiny(tmp_path_factory.mktemp("carded") / "model", channels=3, normalization=DATASET)
    record = training_record(folder) | {"operating_point": POINT, "scale": 0.5}  # the network is the same
    (folder / "assets.extra/training.json").write_text(json.dumps(record))
    facts = {"data_sha256": "ab", "data_licence": "CC0 1.0", "images": {"train": 3}, "code": "c"}
    write_card(folder, 7, {**facts, "configuration": "d"}, {"iou": 0.5})
    return folder, convert(folder)


def assert_equal(folder: Path, converted: onnx.ModelProto) -> None:
    """Of several batches and sides, some of them not square."""
    network, runtime = tf.saved_model.load(str(folder)).signatures["network"], session(converted)
    record = training_record(folder)
    geometry, channels = Geometry.of_record(record), record["channels"]
    rng = np.random.default_rng(0)
    for batch, down, right in ((1, 0, 0), (2, 3, 1), (3, 1, 6)):
        height, width = (geometry.smallest + k * geometry.step for k in (down, right))
        x = rng.normal(0, 1, (batch, height, width, channels)).astype(np.float32)
        expected = network(patches=tf.constant(x))["probabilities"].numpy()
        [found] = runtime.run(["probabilities"], {"patches": x})
        assert found.shape[1:3] == (geometry.output_size(height), geometry.output_size(width))
        np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE)
        assert expected.std() > 0.01  # a network that answers alike everywhere would prove nothing


def assert_nothing_needless(converted: onnx.ModelProto, operations: set[str]) -> None:
    """Only these operations, and no constant that none of them reads."""
    assert {node.op_type for node in converted.graph.node} <= operations
    read = {name for node in converted.graph.node for name in node.input}
    assert {constant.name for constant in converted.graph.initializer} <= read


def test_it_answers_as_the_signature_does(
    plain: tuple[Path, onnx.ModelProto], carded: tuple[Path, onnx.ModelProto]
) -> None:
    for folder, converted in (plain, carded):
        assert_equal(folder, converted)
        assert_nothing_needless(converted, OPERATIONS)


def test_a_stem_residual_connections_and_normalization(tmp_path: Path, export_tiny: Any) -> None:
    recipe = {"decoder": "paper", "residual": True, "normalization_layer": "batch"}
    folder = export_tiny(tmp_path / "model", geometry={"depth": 1, "stem_stride": 2}, recipe=recipe)
    converted = convert(folder)
    assert_equal(folder, converted)
    assert_nothing_needless(converted, OPERATIONS | {"Add"})


def test_a_mean_of_published_networks_and_of_all_symmetries(tmp_path: Path, export_tiny: Any) -> None:
    change = {"geometry": Geometry(1).record, "test_time_augmentation": True}
    record = training_record(export_tiny(tmp_path / "any")) | change
    keras.utils.set_random_seed(1)
    networks = [
        create_unet((None, None, 1), classes=3, base_filters=2, depth=1, dropout=0.5) for _ in range(2)
    ]
    write(networks, record, tmp_path / "model")
    converted = convert(tmp_path / "model")
    assert_equal(tmp_path / "model", converted)
    [told] = [entry for entry in converted.metadata_props if entry.key == "test_time_augmentation"]
    assert json.loads(told.value) is True


def test_other_sides_are_refused_by_the_runtime(plain: tuple[Path, onnx.ModelProto]) -> None:
    runtime, geometry = session(plain[1]), Geometry(2)
    valid = geometry.smallest + geometry.step
    wrong = [geometry.smallest - geometry.step, *(valid + more for more in range(1, geometry.step))]
    for height, width in [(side, valid) for side in wrong] + [(valid, side) for side in wrong]:
        with pytest.raises(Exception, match="Non-zero status code"):
            runtime.run(None, {"patches": np.zeros((1, height, width, 1), np.float32)})


def test_the_file_says_how_to_use_it(carded: tuple[Path, onnx.ModelProto]) -> None:
    folder, converted = carded
    told = {entry.key: entry.value for entry in converted.metadata_props}
    parsed = {
        "classes": ["background", "cell", "other"], "class_values": [0, 100, 255], "background": "first",
        "channels": 3, "normalization": DATASET, "scale": 0.5, "operating_point": POINT, "max_area": 2**22,
        "test_time_augmentation": False,
        "geometry": {"depth": 2, "stem_stride": 1, "halo": 20, "step": 4, "smallest": 44,
                     "output_smaller_by": 40},
    }  # fmt: skip
    assert {name: json.loads(told[name]) for name in parsed} == parsed
    assert (told["version"], told["licence_of_the_data"]) == ("7", "CC0 1.0")
    assert told["sha256_of_the_saved_model"] == digest(folder)
    assert json.loads(told["model_card"])["metrics_on_test_split"] == {"iou": 0.5}
    for said in ("[batch, height, width, 3]", "44 + 4 k", "multiples of 4", "by 0.5", "divided by 257"):
        assert said in told["input"]
    assert "height - 40" in told["output"]
    assert "more probable than 0.25" in told["output"]
    assert "reflect" in told["padding"]
    assert (converted.model_version, converted.producer_name) == (7, "unet-pipeline")
    sizes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*converted.graph.input, *converted.graph.output)
    ]
    assert sizes == [["batch", "height", "width", 3], ["batch", "output_height", "output_width", 3]]


def test_each_image_by_its_own_numbers(plain: tuple[Path, onnx.ModelProto]) -> None:
    told = metadata(plain[0])
    assert "of each channel of the whole image before it is padded" in told["input"]
    assert (told["version"], told["licence_of_the_data"]) == ("not pushed", "not stated")
    assert "resized" not in told["input"]
    assert "the most probable one" in told["output"]


def test_factors_decide_where_the_record_has_them(tmp_path: Path, export_tiny: Any) -> None:
    point = {"aim": "dice", "factors": [1.0, 2.0, 0.5]}
    folder = export_tiny(tmp_path / "model")
    record = training_record(folder) | {"operating_point": point}  # the network is the same
    (folder / "assets.extra/training.json").write_text(json.dumps(record))
    told = metadata(folder)
    assert json.loads(told["operating_point"]) == point
    assert (
        "the most probable one after each probability is multiplied by the factor of its class"
        in told["output"]
    )


def test_a_model_without_the_signature_is_refused(tmp_path: Path, export_tiny: Any) -> None:
    folder, other = export_tiny(tmp_path / "model"), tf.Module()
    other.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(other, str(folder), signatures={"serving_default": other.double})
    with pytest.raises(ModelError, match="no signature 'network': export the model again"):
        convert(folder)


def test_a_model_without_a_record_is_refused(tmp_path: Path, export_tiny: Any) -> None:
    folder = export_tiny(tmp_path / "model")
    (folder / "assets.extra/training.json").unlink()
    with pytest.raises(ModelError, match="no training record of this pipeline that says 'geometry'"):
        convert(folder)


def test_a_damaged_model_is_refused(tmp_path: Path, export_tiny: Any) -> None:
    folder = export_tiny(tmp_path / "model")
    (folder / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="not a SavedModel that TensorFlow can load"):
        convert(folder)
