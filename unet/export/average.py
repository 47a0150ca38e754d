"""One SavedModel that answers with the mean of several: those of k-fold cross-validation, for example.

What it takes is in the exported models themselves, their weights and training records: neither the runs that
made them nor their data are needed.
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
from unet.network import create_unet
from unet.registry.records import ModelError, common_record, mean_record, training_record

_OF_ONE_TRAINING = ("start", "steps", "best_step", "class_weights")


def average(models: Sequence[Path], path: Path, test_time_augmentation: bool) -> None:
    """Writes a SavedModel whose probabilities are the mean of those of others, with all its signatures.

    Args:
        models: folders of SavedModels of the same classes, channels, scale and depth, each normalised over
            its own training images, or all over each image; one that is a mean itself counts as what it is
            made of.
        path: folder to write.
        test_time_augmentation: whether it answers with the mean over the eight flips and quarter turns, too;
            it does where a model of these did.

    Raises:
        ModelError: they cannot be averaged.
    """
    common_record(models)
    records = [training_record(model) for model in models]
    first = records[0]
    networks: list[keras.Model] = []
    for model, record in zip(models, records, strict=True):
        if record.get("normalization", {}).get("over") != first.get("normalization", {}).get("over"):
            raise ModelError(f"{model}: not normalised as {models[0]} is: average models of one `normalize`")
        networks += _networks(model, record, first)
    # The largest network decides what fits into the memory of a tile.
    area, filters = min((record["max_area"], record["base_filters"]) for record in records)
    together = {"max_area": area, "base_filters": filters, **mean_record(models, test_time_augmentation)}
    own = {key: value for key, value in first.items() if key not in _OF_ONE_TRAINING}
    write(networks, {**own, **together}, path)


def _networks(model: Path, record: Mapping[str, Any], first: Mapping[str, Any]) -> list[keras.Model]:
    """The networks of an exported model, for images that are normalised as those of the `first` one are."""
    try:
        loaded = tf.saved_model.load(str(model))
        weights: list[NDArray[Any]] = [variable.numpy() for variable in loaded.network_weights]
        decoder = record["recipe"]["decoder"]
    except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
        found = f"{type(error).__name__}: {error}"
        raise ModelError(f"{model}: exported by an earlier version, or damaged ({found})") from error
    networks = []
    while weights:
        network = create_unet(
            (None, None, record["channels"]),
            classes=len(record["classes"]),
            base_filters=weights[0].shape[-1],  # of the first convolution; a mean may hold several sizes
            depth=record["geometry"]["depth"],
            decoder=decoder,
            activation="softmax",
        )
        count = len(network.weights)
        if [tuple(w.shape) for w in weights[:count]] != [tuple(w.shape) for w in network.weights]:
            raise ModelError(f"{model}: its weights are not those of the network that its record describes")
        network.set_weights(_renormalized(weights[:count], record["normalization"], first["normalization"]))
        networks.append(network)
        weights = weights[count:]
    return networks


def _renormalized(
    weights: list[NDArray[Any]], own: Mapping[str, Any], given: Mapping[str, Any]
) -> list[NDArray[Any]]:
    """Weights for images normalised with the `given` constants that do what these did with their `own`.

    Both are linear, and so is the first convolution: (x - m) / s = a (x - m') / s' + b with a = s' / s and
    b = (m' - m) / s. It is exact at the edges, too: convolutions are valid, and mirrored pixels are pixels.
    """
    if own == given or own["over"] == "image":
        return weights
    mean, stddev = (np.asarray(own[key], np.float64) for key in ("mean", "stddev"))
    a = np.asarray(given["stddev"], np.float64) / stddev
    b = (np.asarray(given["mean"], np.float64) - mean) / stddev
    kernel, bias = weights[:2]  # [3, 3, channels, filters], [filters]
    shifted = bias + np.einsum("hwcf,c->f", kernel, b)
    return [(kernel * a[:, None]).astype(kernel.dtype), shifted.astype(bias.dtype), *weights[2:]]
