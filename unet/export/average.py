"""Combines several SavedModels to one that predicts their mean, for example after k-fold cross-validation.

The weights and training records of the exported models suffice: neither their runs nor their data are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet.export.saved_model import write
from unet.network import convolutions_of_image, create_unet
from unet.registry.records import OPERATING_POINT, ModelError, common_record, mean_record, training_record
from unet.tiling import Geometry

_OF_ONE_TRAINING = ("start", "refit", "steps", "best_step", "class_weights", OPERATING_POINT)


def average(models: Sequence[Path], path: Path, test_time_augmentation: bool) -> None:
    """Writes a SavedModel with all signatures whose probabilities are the mean of several models'.

    Args:
        models: folders of SavedModels of the same classes, channels, scale, depth and stem, each normalised
            over its own training images, or all over each image. A model that is a mean itself counts as the
            models that it was made of.
        path: folder to write.
        test_time_augmentation: whether the model predicts the mean over the eight flips and quarter turns,
            too; it always does if one of `models` does.

    Raises:
        ModelError: the models cannot be averaged.
    """
    common_record(models)
    records = [training_record(model) for model in models]
    first = records[0]
    networks: list[keras.Model] = []
    for model, record in zip(models, records, strict=True):
        if record.get("normalization", {}).get("over") != first.get("normalization", {}).get("over"):
            raise ModelError(f"{model}: not normalised as {models[0]} is: average models of one `normalize`")
        networks += _networks(model, record, first)
    # The largest network limits the area of a tile.
    area, filters = min((record["max_area"], record["base_filters"]) for record in records)
    together = {"max_area": area, "base_filters": filters, **mean_record(models, test_time_augmentation)}
    own = {key: value for key, value in first.items() if key not in _OF_ONE_TRAINING}
    write(networks, {**own, **together}, path)


def _networks(model: Path, record: Mapping[str, Any], first: Mapping[str, Any]) -> list[keras.Model]:
    """The networks of an exported model, adapted to the normalisation of the `first` training record."""
    try:
        loaded = tf.saved_model.load(str(model))
        weights: list[NDArray[Any]] = [variable.numpy() for variable in loaded.network_weights]
        recipe = record["recipe"]
        layers = {"decoder": recipe["decoder"], "residual": recipe.get("residual", False)}
    except Exception as error:  # TensorFlow and Protobuf raise many kinds
        found = f"{type(error).__name__}: {error}"
        raise ModelError(f"{model}: exported by an earlier version, or damaged ({found})") from error
    geometry = Geometry.of_record(record)
    networks = []
    while weights:
        network = create_unet(
            (None, None, record["channels"]),
            classes=len(record["classes"]),
            base_filters=weights[0].shape[-1],  # a mean may consist of networks of different sizes
            depth=geometry.depth,
            stem_stride=geometry.stem_stride,
            activation="softmax",
            **layers,  # normalization layers are folded into the weights
        )
        count = len(network.weights)
        if [tuple(w.shape) for w in weights[:count]] != [tuple(w.shape) for w in network.weights]:
            raise ModelError(f"{model}: its weights are not those of the network that its record describes")
        network.set_weights(weights[:count])
        _renormalize(network, record["normalization"], first["normalization"])
        networks.append(network)
        weights = weights[count:]
    return networks


def _renormalize(network: keras.Model, own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Converts weights from images normalised with the `own` constants to images with the `given` ones.

    Normalisation and convolutions are linear: (x - m) / s = a (x - m') / s' + b with a = s' / s and
    b = (m' - m) / s. The conversion is exact at the image border, too, since no convolution pads with zeros.
    """
    if own == given or own["over"] == "image":
        return
    mean, stddev = (np.asarray(own[key], np.float64) for key in ("mean", "stddev"))
    a = np.asarray(given["stddev"], np.float64) / stddev
    b = (np.asarray(given["mean"], np.float64) - mean) / stddev
    for layer in convolutions_of_image(network):
        kernel, bias = layer.get_weights()  # [h, w, channels of the image and others, filters], [filters]
        of_image = kernel[:, :, : len(b)]
        shifted = bias + np.einsum("hwcf,c->f", of_image, b)
        kernel[:, :, : len(b)] = of_image * a[:, None]
        layer.set_weights([kernel, shifted.astype(bias.dtype)])
