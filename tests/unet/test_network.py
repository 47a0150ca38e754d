"""The published network layer by layer, its variants, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from unet.network import _conv_pair, convolutions_of_image, create_unet, decode, encode
from unet.settings import Decoder
from unet.tiling import Geometry

# Name, type, output shape and parameters of each layer of the published Keras network, in its order.
PUBLISHED = """
image         InputLayer      572 572    1        0
conv1_1       Conv2D          570 570   64      640
conv1_2       Conv2D          568 568   64    36928
pool1         MaxPooling2D    284 284   64        0
conv2_1       Conv2D          282 282  128    73856
conv2_2       Conv2D          280 280  128   147584
pool2         MaxPooling2D    140 140  128        0
conv3_1       Conv2D          138 138  256   295168
conv3_2       Conv2D          136 136  256   590080
pool3         MaxPooling2D     68  68  256        0
conv4_1       Conv2D           66  66  512  1180160
conv4_2       Conv2D           64  64  512  2359808
pool4         MaxPooling2D     32  32  512        0
conv5_1       Conv2D           30  30 1024  4719616
conv5_2       Conv2D           28  28 1024  9438208
crop6         Cropping2D       56  56  512        0
up6           Conv2DTranspose  56  56  512  2097664
concat6       Concatenate      56  56 1024        0
conv6_1       Conv2D           54  54  512  4719104
conv6_2       Conv2D           52  52  512  2359808
crop7         Cropping2D      104 104  256        0
up7           Conv2DTranspose 104 104  512  1049088
concat7       Concatenate     104 104  768        0
conv7_1       Conv2D          102 102  256  1769728
conv7_2       Conv2D          100 100  258   594690
crop8         Cropping2D      200 200  128        0
up8           Conv2DTranspose 200 200  512   528896
concat8       Concatenate     200 200  640        0
conv8_1       Conv2D          198 198  128   737408
conv8_2       Conv2D          196 196  128   147584
crop9         Cropping2D      392 392   64        0
up9           Conv2DTranspose 392 392  512   262656
concat9       Concatenate     392 392  576        0
conv9_1       Conv2D          390 390   64   331840
conv9_2       Conv2D          388 388   64    36928
probabilities Conv2D          388 388    2      130
"""


@pytest.fixture(scope="module")
def published() -> keras.Model:
    return create_unet()


def test_published_layers(published: keras.Model) -> None:
    expected = [line.split() for line in PUBLISHED.strip().splitlines()]
    got = [
        [layer.name, type(layer).__name__, *map(str, layer.output.shape[1:]), str(layer.count_params())]
        for layer in published.layers
    ]
    assert got == expected


def test_published_details(published: keras.Model) -> None:
    assert published.count_params() == 33_477_572
    assert published.input_shape == (None, 572, 572, 1)
    assert published.output_shape == (None, 388, 388, 2)
    for layer in published.layers:
        if layer.name.startswith("conv"):
            assert (layer.kernel_size, layer.strides, layer.padding) == ((3, 3), (1, 1), "valid")
            assert layer.activation is keras.activations.relu
            assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
        elif layer.name.startswith("up"):
            assert (layer.kernel_size, layer.strides, layer.padding) == ((2, 2), (2, 2), "valid")
        elif layer.name.startswith("concat"):
            names = [tensor._keras_history.operation.name for tensor in layer.input]
            assert names == [f"crop{layer.name[-1]}", f"up{layer.name[-1]}"]
    crops = [published.get_layer(f"crop{block}").cropping for block in (6, 7, 8, 9)]
    assert crops == [((c, c), (c, c)) for c in (4, 16, 40, 88)]
    head = published.get_layer("probabilities")
    assert (head.kernel_size, head.activation) == ((1, 1), keras.activations.softmax)


def test_published_training_configuration(published: keras.Model) -> None:
    assert isinstance(published.optimizer, keras.optimizers.Adam)
    assert float(published.optimizer.learning_rate) == pytest.approx(1e-4)
    assert published.loss == "categorical_crossentropy"
    assert published.get_compile_config()["metrics"] == ["accuracy"]


def test_encode_and_decode_are_the_network() -> None:
    inputs = keras.Input((572, 572, 1))
    features = encode(inputs)
    assert [f.shape[1:] for f in features] == [
        (28, 28, 1024), (64, 64, 512), (136, 136, 256), (280, 280, 128), (568, 568, 64),
    ]  # fmt: skip
    assert keras.Model(inputs, decode(*features)).count_params() == 33_477_572


@pytest.mark.parametrize(
    ("base_filters", "parameters"), [(64, 31_030_658), (32, 7_759_554), (16, 1_940_834), (8, 485_682)]
)
def test_paper_parameters(base_filters: int, parameters: int) -> None:
    assert create_unet(base_filters=base_filters, decoder="paper").count_params() == parameters


def test_paper_up_convolutions_halve_the_channels() -> None:
    model = create_unet(base_filters=4, decoder="paper")
    for block in (6, 7, 8, 9):
        up = model.get_layer(f"up{block}")
        assert up.input.shape[-1] == 2 * up.output.shape[-1]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("decoder", ["published", "paper"])
def test_every_depth_has_the_sides_of_its_geometry(depth: int, decoder: Decoder) -> None:
    g = Geometry(depth)
    for height, width in ((g.smallest, g.smallest), (g.smallest + g.step, g.smallest + 3 * g.step)):
        model = create_unet((height, width, 1), base_filters=1, depth=depth, decoder=decoder)
        assert model.output_shape == (None, g.output_size(height), g.output_size(width), 2)
    crops = [model.get_layer(f"crop{depth + 2 + i}").cropping[0][0] for i in range(depth)]
    assert tuple(reversed(crops)) == g.crops


def origin(tensor: keras.KerasTensor) -> str:
    return str(tensor._keras_history.operation.name)


def test_a_stem_halves_the_resolution_and_a_last_convolution_has_the_full_one_again() -> None:
    model = create_unet((184, 200, 1), base_filters=16, depth=3, decoder="paper", stem_stride=2)
    assert model.count_params() == 486_258
    assert model.output_shape == (None, 6, 22, 2)
    layers = [
        (name, model.get_layer(name).output.shape[1:3], model.get_layer(name).output.shape[-1])
        for name in ("stem", "conv1_2", "conv7_2", "up8", "crop8", "concat8", "conv8", "probabilities")
    ]
    assert layers == [
        ("stem", (92, 100), 16), ("conv1_2", (88, 96), 16), ("conv7_2", (4, 12), 16), ("up8", (8, 24), 16),
        ("crop8", (8, 24), 1), ("concat8", (8, 24), 17), ("conv8", (6, 22), 8), ("probabilities", (6, 22), 2),
    ]  # fmt: skip
    assert model.get_layer("crop8").input is model.input
    assert [layer.name for layer in convolutions_of_image(model)] == ["stem", "conv8"]
    stem = model.get_layer("stem")
    assert (stem.kernel_size, stem.strides, stem.activation) == ((2, 2), (2, 2), keras.activations.relu)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_every_depth_behind_a_stem_has_the_sides_of_its_geometry(depth: int) -> None:
    g = Geometry(depth, 2)
    for side in (g.smallest, g.smallest + 3 * g.step):
        model = create_unet((side, side, 2), base_filters=1, depth=depth, stem_stride=2, residual=True)
        assert model.output_shape == (None, g.output_size(side), g.output_size(side), 2)
    with pytest.raises(ValueError, match=f"{g.smallest} and {g.smallest}"):
        create_unet((g.smallest - g.step // 2, g.smallest, 2), depth=depth, stem_stride=2)


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("residual", [False, True])
def test_batch_normalization_is_between_each_convolution_and_its_relu(
    stem_stride: int, residual: bool
) -> None:
    model = create_unet(
        (None, None, 1), base_filters=2, depth=2, decoder="paper", stem_stride=stem_stride,
        normalization_layer="batch", residual=residual,
    )  # fmt: skip
    convolutions = [layer for layer in model.layers if layer.name == "stem" or layer.name.startswith("conv")]
    convolutions = [layer for layer in convolutions if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 10 + 2 * (stem_stride - 1)
    for layer in convolutions:
        assert (layer.use_bias, layer.activation) == (False, keras.activations.linear)
        normalization = model.get_layer(f"norm_{layer.name}")
        assert isinstance(normalization, keras.layers.BatchNormalization)
        assert origin(normalization.input) == layer.name
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(relus) == len(convolutions)
    before = "add" if residual else "norm_conv"
    assert sum(origin(relu.input).startswith(before) for relu in relus) == (
        5 if residual else 10 + stem_stride - 1
    )


def test_a_residual_block_adds_its_cropped_input_before_the_last_relu() -> None:
    model = create_unet((None, None, 2), base_filters=2, depth=1, decoder="paper", residual=True)
    projected = {layer.name for layer in model.layers if layer.name.startswith("project")}
    assert projected == {"project1", "project2", "project3"}
    assert [layer.name for layer in convolutions_of_image(model)] == ["conv1_1", "project1"]
    x = np.random.default_rng(0).normal(size=(1, 18, 18, 2)).astype(np.float32)
    names = ("conv1_2", "project1", "relu1")
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in names])(x)
    second, shortcut, block = (keras.ops.convert_to_numpy(output) for output in outputs)
    assert second.min() < 0  # no ReLU before the sum
    kernel, bias = model.get_layer("project1").get_weights()
    np.testing.assert_allclose(shortcut, x[:, 2:-2, 2:-2] @ kernel[0, 0] + bias, atol=1e-6)
    np.testing.assert_allclose(block, np.maximum(second + shortcut, 0), atol=1e-6)
    # Where the channels are the same, the input itself is added.
    inputs = keras.Input((20, 20, 3))
    same = keras.Model(inputs, _conv_pair(inputs, 2, 3, residual=True))
    assert "project2" not in [layer.name for layer in same.layers]


def test_classes_and_channels() -> None:
    model = create_unet((188, 204, 3), base_filters=2, classes=5)
    assert model.input_shape == (None, 188, 204, 3)
    assert model.output_shape == (None, 4, 20, 5)


def test_fully_convolutional() -> None:
    model = create_unet((None, None, 1), base_filters=2, depth=2, decoder="paper")
    assert model.output_shape == (None, None, None, 2)
    for height, width in ((44, 44), (48, 60)):
        assert model(np.zeros((1, height, width, 1), np.float32)).shape == (1, height - 40, width - 40, 2)


def test_logits_and_probabilities_are_of_the_same_network() -> None:
    x = np.random.default_rng(0).normal(size=(2, 44, 44, 1)).astype(np.float32)
    probabilities, logits = (
        create_unet((44, 44, 1), base_filters=2, depth=2, activation=a) for a in ("softmax", None)
    )
    logits.set_weights(probabilities.get_weights())
    assert (probabilities.layers[-1].name, logits.layers[-1].name) == ("probabilities", "logits")
    p = keras.ops.convert_to_numpy(probabilities(x))
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(p, keras.ops.softmax(logits(x)), atol=1e-6)
    y = keras.utils.to_categorical(np.random.default_rng(1).integers(0, 2, (2, 4, 4)), 2)
    losses = [model.evaluate(x, y, verbose=0)[0] for model in (probabilities, logits)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def dropouts(model: keras.Model) -> dict[str, float]:
    return {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}


def test_dropout_is_at_the_end_of_the_contracting_path() -> None:
    model = create_unet(base_filters=1, dropout=0.5)
    assert dropouts(model) == {"drop4": 0.5, "drop5": 0.5}
    follows = {"drop4": "conv4_2", "drop5": "conv5_2", "pool4": "drop4", "crop6": "drop4", "up6": "drop5"}
    for name, before in follows.items():
        assert model.get_layer(name).input._keras_history.operation.name == before
    assert dropouts(create_unet(base_filters=1)) == {}


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.usefixtures("mixed_precision")
def test_the_last_layer_computes_in_float32() -> None:
    model = create_unet((44, 44, 1), base_filters=1, depth=2)
    assert model.get_layer("conv1_1").compute_dtype == "bfloat16"
    assert model.layers[-1].compute_dtype == "float32"
    assert keras.backend.standardize_dtype(model(np.zeros((1, 44, 44, 1), np.float32)).dtype) == "float32"


@pytest.mark.parametrize(
    ("size", "depth", "nearest"),
    [
        ((570, 572, 1), 4, "556 and 572"),
        ((572, 512, 1), 4, "508 and 524"),
        ((None, 100, 1), 4, "188 and 188"),
        ((46, 44, 1), 2, "44 and 48"),
    ],
)
def test_illegal_sides(size: tuple[int | None, int | None, int], depth: int, nearest: str) -> None:
    with pytest.raises(ValueError, match=nearest) as error:
        create_unet(size, depth=depth)
    assert f"Received: input_size={size}" in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": 1},
        {"base_filters": 0},
        {"depth": 0},
        {"decoder": "none"},
        {"normalization_layer": "layer"},
        {"stem_stride": 3},
        {"dropout": 1.0},
        {"dropout": -0.1},
    ],
    ids=str,
)
def test_illegal_arguments(arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value!r}"):
        create_unet(**arguments)


@pytest.mark.parametrize("size", [(572, 572), (572, 572, None), (572, 572, 0)])
def test_illegal_channels(size: Any) -> None:
    with pytest.raises(ValueError, match="Received: input_size="):
        create_unet(size)
