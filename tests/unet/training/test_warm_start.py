"""A training starts from a blessed model's weights where they fit, and says why where they do not."""

import hashlib

import numpy as np
import pytest

from unet.errors import BadInput
from unet.network import create_unet
from unet.training.warm_start import NETWORK, start, start_from_named


def network(activation="softmax", **changes):
    options = {"base_filters": 2, "depth": 2, "decoder": "paper", **changes}
    channels = options.pop("channels", 1)
    return create_unet((None, None, channels), activation=activation, **options)


@pytest.fixture(scope="module")
def blessed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model_run")
    model = network()
    model.save(folder / NETWORK)
    return folder, model


@pytest.mark.parametrize("layers", [{}, {"stem_stride": 2, "normalization_layer": "batch", "residual": True}])
def test_weights_that_fit_are_taken(tmp_path, layers):
    folder, before = tmp_path, network(**layers)
    before.set_weights([weight + 0.5 for weight in before.get_weights()])  # moving statistics, too
    before.save(folder / NETWORK)
    new = network(activation=None, dropout=0.2, **layers)  # neither changes the weights
    assert start(new, str(folder)).startswith("from the weights of the last blessed model (network.keras ")
    for a, b in zip(new.get_weights(), before.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_filters": 3}, "conv1_1/kernel of the last blessed model is 3 x 3 x 1 x 2, of this network "
                              "3 x 3 x 1 x 3"),
        ({"channels": 3}, "3 x 3 x 1 x 2, of this network 3 x 3 x 3 x 2"),
        ({"classes": 3}, "1 x 1 x 2 x 2, of this network 1 x 1 x 2 x 3"),
        ({"decoder": "published"}, "up"),
        ({"depth": 1}, "weights, this network"),
        ({"normalization_layer": "batch"}, "weights, this network"),
    ],
)  # fmt: skip
def test_another_network_starts_afresh_and_says_what_differs(blessed, changes, said):
    new = network(**changes)
    before = new.get_weights()
    words = start(new, str(blessed[0]))
    assert words.startswith("afresh: ")
    assert said in words
    for a, b in zip(new.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_weights_have_other_words(blessed, tmp_path):
    model = network()
    model.save(tmp_path / NETWORK)
    assert start(network(), str(tmp_path)) != start(network(), str(blessed[0]))


def test_nothing_to_start_from_and_a_torn_file_are_told_apart(blessed, tmp_path):
    assert start(network(), "") == "afresh: no earlier model of these classes is blessed"
    assert "cannot be read (FileNotFoundError" in start(network(), str(tmp_path))
    content = (blessed[0] / NETWORK).read_bytes()
    for part in (content[: len(content) // 2], content[:-100]):
        (tmp_path / NETWORK).write_bytes(part)
        assert "cannot be read" in start(network(), str(tmp_path))


def test_a_model_that_is_named_is_started_from_or_refused(blessed, tmp_path):
    folder, before = blessed
    sha256 = hashlib.sha256((folder / NETWORK).read_bytes()).hexdigest()
    new = network()
    said = start_from_named(new, str(folder), "run:5", sha256)
    assert said == f"from the weights of run:5 (network.keras {sha256[:12]})"
    np.testing.assert_array_equal(new.get_weights()[0], before.get_weights()[0])
    for other, place, known, found in (
        (
            network(base_filters=3),
            folder,
            sha256,
            "warm_start = run:5: conv1_1/kernel of run:5 is 3 x 3 x 1 x 2",
        ),
        (network(), tmp_path, sha256, "the weights of run:5 cannot be read"),
        (network(), folder, "0" * 64, "changed while the run was at work"),
    ):
        with pytest.raises(BadInput, match=found):
            start_from_named(other, str(place), "run:5", known)
