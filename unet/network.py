"""The original U-Net (Ronneberger, Fischer, Brox 2015, section 2 and figure 1) as a Keras functional model.

Features are numbered from the input on as in the usual Keras code of this network: conv1 to conv5 contract,
conv6 to conv9 expand (with another depth, conv1 to conv{depth + 1} and on to conv{2 depth + 1}).
"""

from __future__ import annotations

from typing import get_args

import keras
from keras import layers

from unet.settings import Decoder
from unet.tiling import Geometry

DECODERS: tuple[str, ...] = get_args(Decoder)


def _conv_pair(
    x: keras.KerasTensor, block: int, filters: int, second_filters: int | None = None
) -> keras.KerasTensor:
    """Two valid 3x3 convolutions with ReLU: [B, H, W, C] -> [B, H - 4, W - 4, filters]."""
    # he_normal: variance 2 / N, N incoming nodes of a neuron (section 3, "Training").
    for i, width in enumerate((filters, second_filters or filters), 1):
        x = layers.Conv2D(
            width, 3, activation="relu", kernel_initializer="he_normal", name=f"conv{block}_{i}"
        )(x)  # [B, H - 2 i, W - 2 i, width]
    return x


def encode(
    inputs: keras.KerasTensor, *, base_filters: int = 64, depth: int = 4, dropout: float = 0.0
) -> tuple[keras.KerasTensor, ...]:
    """The contracting path: pairs of convolutions with 2x2 max pooling between them, channels doubling.

    Args:
        inputs: batch of images, [B, H, W, C]; H and W are valid input sizes of `Geometry(depth)`, or None.
        base_filters: number of channels of conv1; each pooling doubles it.
        depth: number of poolings.
        dropout: rate of the drop-out layers "at the end of the contracting path" (section 3.1). The paper
            gives no details; as in the usual implementations they follow the two deepest pairs of
            convolutions, so that the deepest skip connection carries dropped features too. 0 adds no layer.

    Returns:
        The features, deepest first: (conv5, conv4, conv3, conv2, conv1) at depth 4, each [B, h, w, filters];
        `decode(*encode(inputs))` is the whole network.
    """
    x, features = inputs, []
    for block in range(1, depth + 2):
        if block > 1:
            x = layers.MaxPooling2D(2, name=f"pool{block - 1}")(x)  # [B, h / 2, w / 2, C]
        x = _conv_pair(x, block, base_filters * 2 ** (block - 1))  # [B, h - 4, w - 4, filters]
        if dropout and block >= depth:
            x = layers.Dropout(dropout, name=f"drop{block}")(x)
        features.append(x)
    return tuple(reversed(features))


def decode(
    bottom: keras.KerasTensor,
    *skips: keras.KerasTensor,
    classes: int = 2,
    decoder: Decoder = "published",
    activation: str | None = "softmax",
) -> keras.KerasTensor:
    """The expanding path: up-convolutions, cropped skip connections, pairs of convolutions, output layer.

    Args:
        bottom: features of the deepest level (conv5), [B, h, w, filters].
        *skips: features of the levels above, deepest first (conv4, conv3, conv2, conv1).
        classes: number of classes.
        decoder: "paper" halves the channels in each up-convolution (figure 1). "published" gives all
            up-convolutions the channels of the first one, and makes the second convolution of its second
            block 2 filters wider than the first, as in the Keras network that this project starts from.
        activation: activation of the output layer; None gives logits.

    Returns:
        Output for each pixel, [B, H', W', classes], float32 even in mixed precision: a softmax in half
        precision has steps of 1e-3.
    """
    x, depth = bottom, len(skips)
    for i, (skip, crop) in enumerate(zip(skips, reversed(Geometry(depth).crops), strict=True)):
        block, filters = depth + 2 + i, skip.shape[-1]
        skip = layers.Cropping2D(crop, name=f"crop{block}")(skip)  # [B, 2 h, 2 w, filters]
        up_filters = filters if decoder == "paper" else bottom.shape[-1] // 2
        x = layers.Conv2DTranspose(up_filters, 2, strides=2, name=f"up{block}")(x)  # [B, 2 h, 2 w, up]
        x = layers.Concatenate(name=f"concat{block}")([skip, x])  # [B, 2 h, 2 w, filters + up]
        wider = decoder == "published" and i == 1
        x = _conv_pair(x, block, filters, filters + 2 if wider else filters)  # [B, 2 h - 4, 2 w - 4, filters]
    name = "logits" if activation is None else "probabilities"
    # [B, H', W', classes]
    return layers.Conv2D(classes, 1, activation=activation, dtype="float32", name=name)(x)


def create_unet(
    input_size: tuple[int | None, int | None, int] = (572, 572, 1),
    *,
    classes: int = 2,
    base_filters: int = 64,
    depth: int = 4,
    decoder: Decoder = "published",
    dropout: float = 0.0,
    activation: str | None = "softmax",
    learning_rate: float = 1e-4,
) -> keras.Model:
    """Builds and compiles a U-Net.

    The default arguments build the published Keras network: 572x572x1 to 388x388x2, 33,477,572 parameters.
    `decoder="paper"` builds the network of figure 1, 31,030,658 parameters.

    Args:
        input_size: height, width and channels of the input. Height and width are valid input sizes of
            `Geometry(depth)`, or None for a fully convolutional network that takes any valid size.
        classes: number of classes, at least 2.
        base_filters: number of channels of the first level; 64 in the paper.
        depth: number of 2x2 poolings; 4 in the paper.
        decoder: variant of the expanding path, see `decode`.
        dropout: rate of the drop-out layers, see `encode`; 0.5 is usual.
        activation: activation of the output layer "probabilities"; None gives logits, in a layer "logits".
        learning_rate: learning rate of Adam.

    Returns:
        The model, compiled with Adam, categorical cross-entropy (one-hot targets) and accuracy.

    Raises:
        ValueError: a size is not valid, or another argument is out of its range.
    """
    if len(input_size) != 3 or not input_size[2] or input_size[2] < 1:
        raise ValueError(f"`input_size` must be (height, width, channels). Received: input_size={input_size}")
    for name, value, least in (
        ("classes", classes, 2),
        ("base_filters", base_filters, 1),
        ("depth", depth, 1),
    ):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
    if decoder not in DECODERS:
        raise ValueError(f"`decoder` must be one of {DECODERS}. Received: decoder={decoder!r}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
    geometry = Geometry(depth)
    for side in input_size[:2]:
        if side is not None and not geometry.is_valid_size(side):
            below, above = geometry.nearest_valid_size(side)
            raise ValueError(
                f"A U-Net of depth {depth} takes sides of {geometry.smallest} + {geometry.step} k pixels: "
                f"each pooling needs an even side. The nearest to {side} are {below} and {above}. "
                f"Received: input_size={input_size}"
            )

    inputs = keras.Input(input_size, name="image")  # [B, H, W, channels]
    features = encode(inputs, base_filters=base_filters, depth=depth, dropout=dropout)  # [B, h, w, C] each
    outputs = decode(  # [B, H', W', classes]
        *features, classes=classes, decoder=decoder, activation=activation
    )
    model = keras.Model(inputs, outputs, name="unet")
    from_logits = activation is None
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits) if from_logits else "categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
