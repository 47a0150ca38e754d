"""The metrics inside TFMA: stock TFMA over exported models, against a plain loop over the same images."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.evaluator import loading, tfma_metric
from unet.evaluation.rows import Measuring
from unet.images.reader import decode, encode_png
from unet.masks.labels import IGNORE
from unet.metrics import measurement
from unet.metrics.confusion import summarize

CLASSES = ["background", "cell", "other"]
HOW = Measuring(len(CLASSES), IGNORE, 2, split=1.0)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, export_tiny):
    """Folder of an evaluation of two models; and each test image, with its serialized example."""
    folder = tmp_path_factory.mktemp("evaluated")
    models = {
        name: export_tiny(folder / name, seed)
        for name, seed in ((tfma.CANDIDATE_KEY, 0), (tfma.BASELINE_KEY, 1))
    }
    rng = np.random.default_rng(0)
    examples = {}
    for i, shape in enumerate([(30, 41), (52, 33), (40, 40)]):
        ground_truth = rng.integers(0, 3, shape).astype(np.uint8)
        ground_truth[:3] = IGNORE
        instances = np.where(ground_truth == 1, rng.integers(0, 400, shape), 0)  # many pixels of no object
        values = {
            "image": encode_png(rng.integers(0, 256, shape).astype(np.uint8)),
            "mask": encode_png(ground_truth),
            "instances": encode_png(instances.astype(np.uint16)),
            "name": f"image {i}".encode(),
            "group": b"g",
            "column_site": b"" if i else "Zürich".encode(),
        }
        numbers = {"height": shape[0], "width": shape[1], "bit_depth": 8}
        features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
        features |= {
            k: tf.train.Feature(int64_list=tf.train.Int64List(value=[v])) for k, v in numbers.items()
        }
        examples[f"image {i}"] = tf.train.Example(features=tf.train.Features(feature=features))
    data = str(folder / "examples")
    with tf.io.TFRecordWriter(data) as writer:
        for example in examples.values():
            writer.write(example.SerializeToString())
    config = tfma_metric.eval_config(CLASSES, ["site"], HOW)
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=True, rubber_stamp=True)
    shared = [
        loading.load_once(
            eval_saved_model_path=str(path), model_name=name, eval_config=config, add_metrics_callbacks=None
        )
        for name, path in models.items()
    ]
    tfma.run_model_analysis(
        eval_shared_model=shared, eval_config=config, data_location=data, output_path=str(folder / "out")
    )
    for model in shared:  # nobody loaded it again
        assert model.model_loader.load() is loading.loaded.pop(model.model_path)
    return folder / "out", models, examples


@pytest.mark.parametrize("which", [tfma.CANDIDATE_KEY, tfma.BASELINE_KEY])
def test_rows_and_metrics_are_those_of_a_plain_loop(evaluated, which):
    out, models, examples = evaluated
    rows = {row["name"]: row for row in tfma_metric.read_rows(str(out), which)}
    assert set(rows) == set(examples)
    answer = tf.saved_model.load(str(models[which])).signatures["evaluate"]
    total = np.zeros((3, 3))
    for name, example in examples.items():
        said = answer(examples=tf.constant([example.SerializeToString()]))
        confusion = said["confusion"][0].numpy().reshape(3, 3)
        total += confusion
        maps = np.concatenate([decode(p) for p in said["probabilities_bytes"][0].numpy()], -1)
        ground_truth = decode(said["ground_truth_bytes"][0].numpy())[..., 0]
        [png] = example.features.feature["instances"].bytes_list.value
        numbers = decode(png)[..., 0]
        expected, without = (
            measurement.measure(
                confusion, maps, ground_truth, IGNORE, 2, instances=known, split=HOW.split
            ).to_json()
            for known in (numbers, None)
        )
        assert expected["objects"] != without["objects"]
        assert rows[name]["measured"] == json.loads(json.dumps(expected))
    result = tfma.load_eval_result(str(out), model_name=which).get_metrics_for_slice()
    found = {name: result[name]["doubleValue"] for name in summarize(total, CLASSES)}
    assert found == pytest.approx(summarize(total, CLASSES))
    assert result["example_count"]["doubleValue"] == 3


def test_rows_say_what_the_examples_say(evaluated):
    rows = {row["name"]: row for row in tfma_metric.read_rows(str(evaluated[0]), tfma.CANDIDATE_KEY)}
    first = rows["image 0"]
    assert (first["height"], first["width"], first["bit_depth"]) == (30, 41, 8)
    assert first["slices"] == ["size=small", "bit_depth=8", "foreground=high", "site=Zürich"]
    assert rows["image 1"]["slices"][-1] == "site=(none)"


def test_one_model_alone_is_the_candidate_and_there_is_no_baseline(evaluated, tmp_path):
    _, models, examples = evaluated
    data = str(tmp_path / "examples")
    with tf.io.TFRecordWriter(data) as writer:
        writer.write(examples["image 0"].SerializeToString())
    config = tfma_metric.eval_config(CLASSES, ["group"], HOW)
    model = tfma.default_eval_shared_model(
        eval_saved_model_path=str(models[tfma.CANDIDATE_KEY]), eval_config=config
    )
    tfma.run_model_analysis(
        eval_shared_model=model, eval_config=config, data_location=data, output_path=str(tmp_path / "out")
    )
    [row] = tfma_metric.read_rows(str(tmp_path / "out"), tfma.CANDIDATE_KEY)
    assert row["slices"][-1] == "group=g"
    assert tfma_metric.read_rows(str(tmp_path / "out"), tfma.BASELINE_KEY) == []


def test_without_a_background_each_class_is_measured_and_no_share_of_the_foreground():
    ground_truth = np.repeat(np.arange(3, dtype=np.uint8), 4)[None].repeat(6, 0)
    maps = [np.where(ground_truth == i, 60000, 1000).astype(np.uint16) for i in (1, 2)]
    extracts = {
        tfma.PREDICTIONS_KEY: {
            "confusion": np.diag([24.0, 24.0, 24.0]).ravel(),
            "probabilities_bytes": [encode_png(values) for values in maps],
            "ground_truth_bytes": np.array([encode_png(ground_truth)], object),
        },
        tfma.FEATURES_KEY: {"name": np.array([b"a"]), "height": [6], "width": [12], "bit_depth": [8]},
    }
    found = {}
    for first in (0, 1):
        [found[first]] = tfma_metric.MeasureImage("", [], Measuring(3, IGNORE, 1, first=first)).process(
            extracts
        )
    assert [len(found[first]["measured"]["boundary"]) for first in (0, 1)] == [3, 2]
    assert found[1]["foreground"] == pytest.approx(2 / 3)
    assert np.isnan(found[0]["foreground"])
    [left_out] = set(found[1]["slices"]) - set(found[0]["slices"])
    assert left_out.startswith("foreground=")
