"""The preprocessing of TFX Transform: normalisation constants over all training images, and tiling.

One image becomes one or more *tiles*: patches of the mirror-padded image with their whole context, and the
mask of the same patch. So training can warp or rotate a tile first and crop the valid center afterwards.
Pixels stay encoded; only the constants of the normalisation are stored beside them.
"""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.transform import component as transform_component
from tfx.components.transform import executor as transform_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from unet import tiling
from unet.images.depth import DEPTH_SCALE
from unet.masks.labels import IGNORE
from unet.preprocessing.decoding import decode_image
from unet.preprocessing.normalization import moments, pixel_sums
from unet.preprocessing.resizing import resize_image, resize_mask
from unet.preprocessing.settings import TileSettings
from unet.preprocessing.stacking import stack
from unet.training.tiles import count_images, require_images

PNG_LEVEL = 1  # zlib's fastest level: tiles are written once and read a few times


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Turns a batch of B examples into N >= B tiles.

    Args:
        inputs: the features `image`, `mask`, `border` (encoded) and `name`, each [B], and `bit_depth`, [B,
            1].
        custom_config: a dict with `tiles`, a `TileSettings` as JSON.

    Returns:
        For each tile, shape [N]: `tile` and `tile_mask` (PNG of the same patch of the mirror-padded image and
        mask; the tile of a resized or 16-bit image has 16 bits; channels other than grey or RGB lie below one
        another; with `border`, the second channel of the mask), `name` of the image, `top` and `left` (first
        image pixel of the tile's own area), `height` and `width` of the image (all four after `scale`),
        `tiles` (number of tiles of the image); shape [N, classes], `class_pixels`, the pixels of each class
        in the tile's own area; shape [N, channels], `mean` and `stddev` of all training pixels or of the
        image.
    """
    settings = TileSettings.model_validate_json(custom_config["tiles"])
    constants = None
    if settings.normalize == "dataset":
        # A full pass over the training split; Transform stores its result in its graph.
        sums = tft.sum(sums_of_images(inputs["image"], settings), reduce_instance_dims=False)
        constants = moments(sums)
    return cut_tiles(inputs, settings, constants)


def sums_of_images(images: tf.Tensor, settings: TileSettings) -> tf.Tensor:
    """Computes `pixel_sums` of encoded images [B] as the network sees them: [B, 3, channels]."""
    return tf.map_fn(
        _summing(settings.model_dump_json()),
        images,
        parallel_iterations=1,  # each iteration holds an image
        fn_output_signature=tf.TensorSpec([3, settings.image_channels], tf.float64),
    )


def cut_tiles(
    inputs: dict[str, tf.Tensor], settings: TileSettings, constants: tuple[tf.Tensor, tf.Tensor] | None
) -> dict[str, tf.Tensor]:
    """Turns a batch of examples into tiles, see `preprocessing_fn`.

    Args:
        inputs: the features that `preprocessing_fn` takes.
        settings: settings of the tiles.
        constants: mean and standard deviation of all training pixels, [channels] each; None: each image gets
            its own.
    """
    cut = _cutting(settings.model_dump_json())
    both = tf.stack(constants) if constants else tf.zeros([2, settings.image_channels])  # [2, channels]
    ragged = {k: tf.RaggedTensorSpec([None], dtype) for k, dtype in _TILE_FEATURES.items()}
    ragged["class_pixels"] = tf.RaggedTensorSpec([None, settings.class_count], tf.int64, ragged_rank=0)
    for key in ("mean", "stddev"):
        ragged[key] = tf.RaggedTensorSpec([None, settings.image_channels], tf.float32, ragged_rank=0)
    # Resized pixels lie between the grey levels of 8 bits; the served model sees them in 16 bits, too.
    deep = tf.reshape((inputs["bit_depth"] > 8) | (settings.scale != 1), [-1])
    examples = (*(inputs[key] for key in ("image", "mask", "border", "name")), deep)
    rows = tf.map_fn(
        lambda example: cut(*example, both),
        examples,
        parallel_iterations=1,
        fn_output_signature=tuple(ragged.values()),
    )
    return {key: value.flat_values for key, value in zip(ragged, rows, strict=True)}


# TensorFlow Transform traces the preprocessing function nine times; what is done with one image, once.
@functools.lru_cache(maxsize=2)
def _summing(tiles: str) -> Any:
    settings = TileSettings.model_validate_json(tiles)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def sums(image: tf.Tensor) -> tf.Tensor:
        return pixel_sums(resize_image(decode_image(image, settings.image_channels), settings.scale))

    return sums


@functools.lru_cache(maxsize=2)
def _cutting(tiles: str) -> Any:
    settings = TileSettings.model_validate_json(tiles)
    texts = [tf.TensorSpec([], tf.string)] * 4  # image, mask, border, name
    deep, constants = tf.TensorSpec([], tf.bool), tf.TensorSpec([2, settings.image_channels], tf.float32)

    @tf.function(input_signature=[*texts, deep, constants], autograph=False)
    def cut(
        image: tf.Tensor,
        mask: tf.Tensor,
        border: tf.Tensor,
        name: tf.Tensor,
        deep: tf.Tensor,
        constants: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        both = tf.unstack(constants) if settings.normalize == "dataset" else None
        return _cut(image, mask, border, name, deep, settings, both)

    return cut


_TILE_FEATURES = {
    "tile": tf.string,
    "tile_mask": tf.string,
    "name": tf.string,
    "top": tf.int64,
    "left": tf.int64,
    "height": tf.int64,
    "width": tf.int64,
    "tiles": tf.int64,
}


def _cut(
    image: tf.Tensor,
    mask: tf.Tensor,
    border: tf.Tensor,
    name: tf.Tensor,
    deep: tf.Tensor,
    settings: TileSettings,
    constants: list[tf.Tensor] | None,
) -> tuple[tf.Tensor, ...]:
    """Cuts all tiles of one image; returns the features of `preprocessing_fn`, in the order of `ragged`."""
    geometry = tiling.Geometry.of(settings)
    planes = [
        tf.io.decode_png(plane, channels=1) for plane in (mask, border)[: 2 if settings.with_border else 1]
    ]
    # [H, W, C] uint16 and [H, W, 1 or 2] uint8, after scaling
    pixels = resize_image(decode_image(image, settings.image_channels), settings.scale)
    indices = resize_mask(tf.concat(planes, -1), settings.scale)
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    # A training patch fits into every tile.
    least = settings.patch_size - geometry.smallest
    rows, columns = (
        tiling.plan(size, settings.tile_stride, geometry, min_stride=least) for size in (height, width)
    )
    row_index = tiling.mirror_index(-geometry.halo, rows.padded_size(geometry), height, tf)
    column_index = tiling.mirror_index(-geometry.halo, columns.padded_size(geometry), width, tf)

    def encode(tile: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            deep,
            lambda: tf.io.encode_png(stack(tile), PNG_LEVEL),
            lambda: tf.io.encode_png(stack(tf.cast(tile // DEPTH_SCALE, tf.uint8)), PNG_LEVEL),
        )

    def one(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        top, left = index // columns.count * rows.stride, index % columns.count * columns.stride
        r = row_index[top : top + rows.tile_size(geometry)]
        c = column_index[left : left + columns.tile_size(geometry)]
        tile = tf.gather(tf.gather(pixels, r), c, axis=1)
        tile_mask = tf.gather(tf.gather(indices, r), c, axis=1)
        position = (tf.cast(v, tf.int64) for v in (top, left))
        own = indices[top : top + rows.kept(index // columns.count, geometry)]
        own = own[:, left : left + columns.kept(index % columns.count, geometry), 0]
        # The highest bin counts ignored pixels.
        found = tf.math.bincount(
            tf.cast(tf.reshape(own, [-1]), tf.int32), None, IGNORE + 1, IGNORE + 1, tf.int64
        )
        return (
            encode(tile),
            tf.io.encode_png(tile_mask, PNG_LEVEL),
            *position,
            tf.ensure_shape(found[: settings.class_count], [settings.class_count]),
        )

    count = rows.count * columns.count
    counts = tf.TensorSpec([settings.class_count], tf.int64)
    tiles, masks, tops, lefts, class_pixels = tf.map_fn(
        one,
        tf.range(count),
        parallel_iterations=1,
        fn_output_signature=(tf.string, tf.string, tf.int64, tf.int64, counts),
    )
    same = [tf.fill([count], tf.cast(v, tf.int64)) for v in (height, width, count)]
    mean_and_stddev = [tf.tile(v[None], [count, 1]) for v in constants or moments(pixel_sums(pixels))]
    return tiles, masks, tf.fill([count], name), tops, lefts, *same, class_pixels, *mean_and_stddev


class Executor(transform_executor.Executor):
    """TFX's executor; it counts the images, for the Tuner and the Trainer to count them again."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the tiles; raises `ImagesLost` if they are not of all images that ExampleGen wrote."""
        super().Do(input_dict, output_dict, exec_properties)
        [examples], [tiles] = input_dict["examples"], output_dict["transformed_examples"]
        for split in artifact_utils.decode_split_names(tiles.split_names):
            files = [f"{artifact_utils.get_split_uri([tiles], split)}/*"]
            count = examples.get_int_custom_property(f"{split}_count")
            require_images(count_images(files), count, files)
            tiles.set_int_custom_property(f"{split}_count", count)


class Transform(transform_component.Transform):
    """TFX's Transform with this project's executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
