"""The network in training, its optimizer, precision and weights of classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unet.training.tiny import SETTINGS
from unet.training import build
from unet.training.build import (
    Crop,
    build_network,
    class_weights,
    compile_network,
    make_optimizer,
    precision_of,
)


def changed(**changes):
    return SETTINGS.model_copy(update=changes)


def test_a_network_takes_single_batches_too(tiles):
    network = compile_network(SETTINGS, tiles)
    x = np.zeros([2, 72, 72, tiles.channels], np.float32)
    side = network.output_shape[1]
    loss = network.train_on_batch(x, np.zeros([2, side, side, 1], np.uint8))
    assert np.isfinite(np.ravel(loss)[0])


def test_the_network_in_training_is_the_one_that_is_exported(tiles):
    settings = SETTINGS.model_copy(update={"dropout": 0.0})
    training_model = compile_network(settings, tiles)
    plain = build_network(settings, tiles.channels, None, None, "float32")
    plain.set_weights(training_model.get_weights())
    x = tf.constant(np.random.default_rng(0).normal(size=[2, 72, 72, tiles.channels]), tf.float32)
    found = []
    for network in (training_model, plain):
        with tf.GradientTape() as tape:
            logits = network(x, training=True)
            loss = tf.reduce_mean(logits**2)
        found.append([logits, *tape.gradient(loss, network.trainable_variables)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [("adam", keras.optimizers.Adam), ("adamw", keras.optimizers.AdamW), ("sgd", keras.optimizers.SGD)],
)
@pytest.mark.parametrize(("clip", "norm"), [(0.0, None), (0.5, 0.5)])
def test_each_optimizer_is_made_as_the_settings_say(optimizer, kind, clip, norm):
    settings = changed(optimizer=optimizer, clip=clip, momentum=0.7, weight_decay=0.02, learning_rate=0.25)
    made = make_optimizer(settings)
    assert type(made) is kind
    config = made.get_config()
    assert (config["learning_rate"], config["global_clipnorm"]) == (0.25, norm)
    assert config.get("momentum") == (0.7 if optimizer == "sgd" else None)
    assert config["weight_decay"] == (0.02 if optimizer == "adamw" else None)


@pytest.mark.parametrize(
    ("precision", "scaled"), [("mixed_float16", True), ("mixed_bfloat16", False), ("float32", False)]
)
def test_only_gradients_of_16_bits_are_scaled(precision, scaled):
    made = make_optimizer(changed(precision=precision))
    assert isinstance(made, keras.optimizers.LossScaleOptimizer) == scaled
    assert precision_of(precision) == precision


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx512f", "amx_bf16", "amx_tile"}, "mixed_bfloat16"),
        ({"avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        ({"avx512f", "avx512_vnni"}, "float32"),
        (set(), "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(flags, precision, monkeypatch):
    monkeypatch.setattr(build.tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(build, "_cpu_flags", lambda: frozenset(flags))
    assert precision_of("auto") == precision


@pytest.mark.parametrize("side", [None, 60])
def test_a_network_is_as_the_settings_say_and_leaves_the_policy(side):
    before = keras.config.dtype_policy()
    settings = changed(base_filters=3, depth=1, classes={"a": 0, "b": 1, "c": 2})
    network = build_network(settings, 3, side, "softmax", "mixed_bfloat16")
    assert keras.config.dtype_policy() == before
    assert network.input_shape == (None, side, side, 3)
    assert network.output_shape[-1] == 3
    assert network.layers[1].filters == 3
    assert network.layers[1].compute_dtype == "bfloat16"
    assert sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in network.layers) == 1
    with pytest.raises(ValueError, match="Received"):
        build_network(settings, 3, 61, None, "mixed_bfloat16")
    assert keras.config.dtype_policy() == before


@pytest.mark.parametrize("cropping", [((1, 2), (3, 0)), ((0, 0), (2, 5))])
def test_a_crop_is_the_one_of_keras_and_its_gradient_a_padding(cropping):
    x = tf.random.stateless_normal([2, 9, 11, 3], [0, 0])
    found = []
    for kind in (Crop, keras.layers.Cropping2D):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kind(cropping)(x)
            loss = tf.reduce_sum(y**3)
        found.append((y, tape.gradient(loss, x)))
    for mine, expected in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("none", [1.0, 1.0]), ({"cell": 3.0}, [1.0, 3.0]), ({"cell": 0.5, "background": 2.0}, [2.0, 0.5])],
)
def test_classes_without_a_weight_have_1(tiles, weights, expected):
    assert class_weights(changed(class_weights=weights), tiles) == expected


def test_balanced_weights_are_inverse_to_the_pixels_of_all_tiles(tiles):
    pixels = tiles.features["class_pixels"].sum(0)
    background, cell = class_weights(changed(class_weights="balanced"), tiles)
    assert background * pixels[0] == pytest.approx(cell * pixels[1])
    assert pixels[0] != pixels[1]


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_step_tells_its_loss_and_the_norm_of_its_gradients(tiles, precision):
    network = compile_network(changed(optimizer="sgd", momentum=0.0, precision=precision, dropout=0.0), tiles)
    x = tf.random.stateless_normal([2, 72, 72, 1], [0, 0])
    y = tf.zeros([2, *network.output_shape[1:3], 1], tf.uint8)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(x=x, y=y, y_pred=network(x, training=True))
    norm = tf.linalg.global_norm(tape.gradient(loss, network.trainable_variables))
    network.optimizer.learning_rate = 1.0
    before = network.get_weights()
    told = network.train_step((x, y))
    close = 1e-4 if precision == "float32" else 0.05
    assert float(told["loss"]) == pytest.approx(float(loss), rel=close)
    assert float(told["gradient_norm"]) == pytest.approx(float(norm), rel=close)
    moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(before, network.get_weights(), strict=True)))
    assert moved == pytest.approx(float(norm), rel=close)
