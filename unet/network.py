"""The original U-Net (Ronneberger, Fischer, Brox 2015, section 2 and figure 1) as a Keras functional model.

Features are numbered from the input on as in the usual Keras code of this network: conv1 to conv5 contract,
conv6 to conv9 expand (with another depth, conv1 to conv{depth + 1} and on to conv{2 depth + 1}).

Three things that the paper's network does not have can be added. All its convolutions stay valid, so that
tiles still have no seams: a stem that halves the resolution, batch normalization (Ioffe and Szegedy 2015) and
residual blocks (He, Zhang, Ren, Sun 2016).
"""

from __future__ import annotations

from typing import get_args

import keras
from keras import layers

from unet.settings import Decoder, NormalizationLayer
from unet.tiling import Geometry

DECODERS: tuple[str, ...] = get_args(Decoder)
NORMALIZATION_LAYERS: tuple[str, ...] = get_args(NormalizationLayer)
# Of the moving statistics, PyTorch's default. Keras' default of 0.99 still gives the initial values more than
# half of the weight after the 60 steps of a trial of the search.
_MOMENTUM = 0.9
NORMALIZATION = "norm_"  # and the name of the convolution: name of a normalization layer


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    strides: int = 1,
    normalization_layer: NormalizationLayer = "none",
    relu: bool = True,
) -> keras.KerasTensor:
    """A valid convolution, batch normalization if wanted, and ReLU: [B, H, W, C] -> [B, H', W', filters]."""
    plain = normalization_layer == "none"
    x = layers.Conv2D(  # [B, H', W', filters]
        filters,
        size,
        strides=strides,
        activation="relu" if plain and relu else None,
        use_bias=plain,  # the normalization would subtract it (Ioffe and Szegedy 2015, section 3.2)
        kernel_initializer="he_normal",  # variance 2 / N, N incoming nodes of a neuron (section 3)
        name=name,
    )(x)
    if plain:
        return x
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{NORMALIZATION}{name}")(x)
    return layers.ReLU(name=f"relu_{name}")(x) if relu else x


def _conv_pair(
    x: keras.KerasTensor,
    block: int,
    filters: int,
    second_filters: int | None = None,
    *,
    normalization_layer: NormalizationLayer = "none",
    residual: bool = False,
) -> keras.KerasTensor:
    """Two valid 3x3 convolutions with ReLU: [B, H, W, C] -> [B, H - 4, W - 4, filters].

    With `residual` the input, cropped by 2 pixels, is added before the last ReLU (He et al. 2016, equation
    1), after a 1x1 convolution where it has other channels (equation 2). Block 1 always has one: its input
    may be the image, and `unet.export.average` converts the weights of all convolutions that read the image.
    """
    shortcut = x
    for i, width in enumerate((filters, second_filters or filters), 1):
        x = _convolution(  # [B, H - 2 i, W - 2 i, width]
            x,
            width,
            3,
            f"conv{block}_{i}",
            normalization_layer=normalization_layer,
            relu=i == 1 or not residual,
        )
    if not residual:
        return x
    shortcut = layers.Cropping2D(2, name=f"shortcut{block}")(shortcut)  # [B, H - 4, W - 4, C]
    if block == 1 or shortcut.shape[-1] != x.shape[-1]:
        shortcut = layers.Conv2D(x.shape[-1], 1, name=f"project{block}")(shortcut)
    x = layers.Add(name=f"add{block}")([x, shortcut])  # [B, H - 4, W - 4, filters]
    return layers.ReLU(name=f"relu{block}")(x)


def encode(
    inputs: keras.KerasTensor,
    *,
    base_filters: int = 64,
    depth: int = 4,
    dropout: float = 0.0,
    stem_stride: int = 1,
    normalization_layer: NormalizationLayer = "none",
    residual: bool = False,
) -> tuple[keras.KerasTensor, ...]:
    """The contracting path: pairs of convolutions with 2x2 max pooling between them, channels doubling.

    Args:
        inputs: batch of images, [B, H, W, C]; H and W are valid input sizes of
            `Geometry(depth, stem_stride)`, or None.
        base_filters: number of channels of conv1; each pooling doubles it.
        depth: number of poolings.
        dropout: rate of the drop-out layers "at the end of the contracting path" (section 3.1). The paper
            gives no details; as in the usual implementations they follow the two deepest pairs of
            convolutions, so that the deepest skip connection carries dropped features too. 0 adds no layer.
        stem_stride: 2 puts a 2x2 convolution of stride 2 to `base_filters` channels before conv1; 1 does not.
        normalization_layer: "batch" normalizes between each convolution and its ReLU, over the batch in
            training and by moving statistics otherwise; "none" adds no layer.
        residual: whether the input of each pair of convolutions, cropped, is added before its last ReLU.

    Returns:
        The features, deepest first: (conv5, conv4, conv3, conv2, conv1) at depth 4, each [B, h, w, filters];
        `decode(*encode(inputs))` is the whole network.
    """
    x, features = inputs, []
    if stem_stride > 1:
        x = _convolution(  # [B, H / 2, W / 2, filters]
            x,
            base_filters,
            stem_stride,
            "stem",
            strides=stem_stride,
            normalization_layer=normalization_layer,
        )
    for block in range(1, depth + 2):
        if block > 1:
            x = layers.MaxPooling2D(2, name=f"pool{block - 1}")(x)  # [B, h / 2, w / 2, C]
        x = _conv_pair(  # [B, h - 4, w - 4, filters]
            x,
            block,
            base_filters * 2 ** (block - 1),
            normalization_layer=normalization_layer,
            residual=residual,
        )
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
    image: keras.KerasTensor | None = None,
    normalization_layer: NormalizationLayer = "none",
    residual: bool = False,
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
        image: the image before a stem of stride 2, [B, H, W, C]. One more up-convolution leads back to its
            resolution, its crop is the skip connection there, and one 3x3 convolution to half of the filters
            of conv1 follows. None: there is no stem.
        normalization_layer: as for `encode`.
        residual: as for `encode`.

    Returns:
        Output for each pixel, [B, H', W', classes], float32 even in mixed precision: a softmax in half
        precision has steps of 1e-3.
    """
    x, depth = bottom, len(skips)
    crops = Geometry(depth, 1 if image is None else 2).crops  # shallow to deep
    for i, (skip, crop) in enumerate(zip(skips, reversed(crops[-depth:]), strict=True)):
        block, filters = depth + 2 + i, skip.shape[-1]
        up_filters = filters if decoder == "paper" else bottom.shape[-1] // 2
        x = _joined(x, skip, block, up_filters, crop)  # [B, 2 h, 2 w, filters + up]
        wider = decoder == "published" and i == 1
        x = _conv_pair(  # [B, 2 h - 4, 2 w - 4, filters]
            x,
            block,
            filters,
            filters + 2 if wider else filters,
            normalization_layer=normalization_layer,
            residual=residual,
        )
    if image is not None:
        block, filters = 2 * depth + 2, skips[-1].shape[-1]
        x = _joined(x, image, block, filters, crops[0])  # [B, 2 h, 2 w, C + filters]
        x = _convolution(  # [B, 2 h - 2, 2 w - 2, filters / 2]
            x, max(1, filters // 2), 3, f"conv{block}", normalization_layer=normalization_layer
        )
    name = "logits" if activation is None else "probabilities"
    # [B, H', W', classes]
    return layers.Conv2D(classes, 1, activation=activation, dtype="float32", name=name)(x)


def _joined(
    x: keras.KerasTensor, skip: keras.KerasTensor, block: int, filters: int, crop: int
) -> keras.KerasTensor:
    """Up-convolution, joined by a skip connection: [B, h, w, C] -> [B, 2 h, 2 w, skip + filters]."""
    skip = layers.Cropping2D(crop, name=f"crop{block}")(skip)  # [B, 2 h, 2 w, skip]
    x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{block}")(x)  # [B, 2 h, 2 w, filters]
    return layers.Concatenate(name=f"concat{block}")([skip, x])


def convolutions_of_image(network: keras.Model) -> list[keras.layers.Layer]:
    """The convolutions of a network of `create_unet` that read the image, as the first of their channels."""
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    if convolutions[0].name == "stem":
        return [convolutions[0], convolutions[-2]]  # the output layer is the last
    return [layer for layer in convolutions if layer.name in ("conv1_1", "project1")]


def create_unet(
    input_size: tuple[int | None, int | None, int] = (572, 572, 1),
    *,
    classes: int = 2,
    base_filters: int = 64,
    depth: int = 4,
    decoder: Decoder = "published",
    dropout: float = 0.0,
    stem_stride: int = 1,
    normalization_layer: NormalizationLayer = "none",
    residual: bool = False,
    activation: str | None = "softmax",
    learning_rate: float = 1e-4,
) -> keras.Model:
    """Builds and compiles a U-Net.

    The default arguments build the published Keras network: 572x572x1 to 388x388x2, 33,477,572 parameters.
    `decoder="paper"` builds the network of figure 1, 31,030,658 parameters.

    Args:
        input_size: height, width and channels of the input. Height and width are valid input sizes of
            `Geometry(depth, stem_stride)`, or None for a fully convolutional network that takes any valid
            size.
        classes: number of classes, at least 2.
        base_filters: number of channels of the first level; 64 in the paper.
        depth: number of 2x2 poolings; 4 in the paper.
        decoder: variant of the expanding path, see `decode`.
        dropout: rate of the drop-out layers, see `encode`; 0.5 is usual.
        stem_stride: 2 runs the U-Net at half the resolution, between a convolution of stride 2 and an
            up-convolution, see `encode` and `decode`; 1 does not.
        normalization_layer: "none", or "batch" for batch normalization, see `encode`.
        residual: whether the pairs of convolutions are residual blocks, see `encode`.
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
    if normalization_layer not in NORMALIZATION_LAYERS:
        raise ValueError(
            f"`normalization_layer` must be one of {NORMALIZATION_LAYERS}. "
            f"Received: normalization_layer={normalization_layer!r}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
    geometry = Geometry(depth, stem_stride)
    for side in input_size[:2]:
        if side is not None and not geometry.is_valid_size(side):
            below, above = geometry.nearest_valid_size(side)
            raise ValueError(
                f"A U-Net of {geometry} takes sides of {geometry.smallest} + {geometry.step} k pixels: "
                f"each pooling needs an even side. The nearest to {side} are {below} and {above}. "
                f"Received: input_size={input_size}"
            )

    inputs = keras.Input(input_size, name="image")  # [B, H, W, channels]
    features = encode(  # [B, h, w, C] each
        inputs,
        base_filters=base_filters,
        depth=depth,
        dropout=dropout,
        stem_stride=stem_stride,
        normalization_layer=normalization_layer,
        residual=residual,
    )
    outputs = decode(  # [B, H', W', classes]
        *features,
        classes=classes,
        decoder=decoder,
        activation=activation,
        image=inputs if stem_stride > 1 else None,
        normalization_layer=normalization_layer,
        residual=residual,
    )
    model = keras.Model(inputs, outputs, name="unet")
    from_logits = activation is None
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits) if from_logits else "categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
