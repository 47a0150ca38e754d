"""The statistics of examples as ImageMaskExampleGen writes them, beside those of TFX's own executor."""

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen import executor as statistics_executor
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from components.distribution import load_statistics, numeric
from components.statistics import CONTENT, SPLIT, StatisticsGenExecutor, read_table
from unet.errors import BadInput

SCALARS = {
    "height": 90,
    "width": 60,
    "channels": 1,
    "bit_depth": 16,
    "mean": 31.5,
    "stddev": 4.25,
    "fraction_a": 1.0,
}


def example(name: str, image: bytes = b"", mask: bytes = b"", **scalars: float) -> bytes:
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in {"name": name.encode(), "image": image, "mask": mask}.items()
    }
    for key, value in {**SCALARS, **scalars}.items():
        if isinstance(value, int):
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        else:
            features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def examples(folder, **splits: list[bytes]) -> Examples:
    """Each record in a file of its own."""
    artifact = Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    for split, records in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        for number, record in enumerate(records):
            path = folder / f"Split-{split}" / f"data_tfrecord-{number:05d}-of-{len(records):05d}.gz"
            with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
                writer.write(record)
    return artifact


def statistics_of(read: Examples, folder, executor=StatisticsGenExecutor):
    artifact = ExampleStatistics()
    artifact.uri = str(folder)
    folder.mkdir()
    executor().Do({"examples": [read]}, {"statistics": [artifact]}, {"exclude_splits": "[]"})
    return artifact


def test_they_are_those_of_tfx(tmp_path):
    records = [example(f"cell {i}", b"i", mean=float(i), height=50 + i) for i in range(7)]
    read = examples(tmp_path / "examples", train=records, serving=[example("one")])
    ours = statistics_of(read, tmp_path / "ours")
    theirs = statistics_of(read, tmp_path / "theirs", statistics_executor.Executor)
    assert ours.split_names == theirs.split_names
    of_us, of_them = load_statistics(ours.uri), load_statistics(theirs.uri)
    assert set(of_us) == set(of_them) == {"train", "serving"}
    for split, found in of_us.items():
        expected = {name: each for name, each in numeric(of_them[split]).items() if name in SCALARS}
        for name, values in numeric(found).items():
            for part in ("min", "max", "mean", "median", "std_dev"):
                assert getattr(values, part) == getattr(expected[name], part), (split, name, part)
        assert found.datasets[0].num_examples == of_them[split].datasets[0].num_examples
        schemas = [tfdv.infer_schema(each) for each in (found, of_them[split])]
        ours_of, theirs_of = ({f.name: f for f in schema.feature if f.name in SCALARS} for schema in schemas)
        assert ours_of == theirs_of
        assert set(ours_of) == set(SCALARS)


def test_the_table_has_a_row_for_each_image_and_tells_their_contents_apart(tmp_path):
    train = [example("NA", b"a", b"m"), example("2", b"a", b"n", mean=7.5), example("3", b"am", b"")]
    served = tf.train.Example.FromString(example("s"))
    del served.features.feature["fraction_a"]
    splits = {"train": train, "test": [example("again", b"a", b"m")], "serving": [served.SerializeToString()]}
    read = examples(tmp_path / "examples", **splits)
    table = read_table(statistics_of(read, tmp_path / "statistics").uri)
    assert list(table["name"]) == ["NA", "2", "3", "again", "s"]
    assert list(table[SPLIT]) == ["train", "train", "train", "test", "serving"]
    assert list(table["mean"]) == [31.5, 7.5, 31.5, 31.5, 31.5]
    assert list(table["fraction_a"][:4]) == [1, 1, 1, 1]
    assert table[CONTENT][0] == table[CONTENT][3]
    assert table[CONTENT].nunique() == 4


def test_a_root_without_the_table_is_told_what_to_do(tmp_path):
    with pytest.raises(BadInput, match=r"images.csv: missing; .* begin a new --root"):
        read_table(str(tmp_path))
