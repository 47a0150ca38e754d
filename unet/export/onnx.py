"""The signature `network` of an exported model as ONNX, for runtimes that know no TensorFlow.

The file says in its metadata all that a caller has to know: how images are normalised, padded and tiled, and
what the classes are. `docs/how-to/onnx.md` lists the entries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx

from unet.export.signatures import NETWORK
from unet.registry.model_card import read_card
from unet.registry.records import OPERATING_POINT, ModelError, digest, training_record
from unet.tiling import Geometry

OPSET = 17  # of onnxruntime 1.12 and later
INPUT, OUTPUT = "patches", "probabilities"
# Names of the sizes that a caller chooses, and of those that follow from them.
_SIZES = {INPUT: ("batch", "height", "width"), OUTPUT: ("batch", "output_height", "output_width")}
_PADDING = (
    "mirrored without repeating the border pixel, again and again where the image is smaller than the "
    "padding, as numpy.pad(mode='reflect') does: halo pixels before the image, and as many after it as its "
    "tiles reach"
)


def convert(model: Path) -> onnx.ModelProto:
    """Converts the signature `network` of a SavedModel.

    Batch, height and width stay free: any batch, and any sides of `smallest` + `step` k pixels, see
    `unet.tiling.Geometry`. Other sides make the graph fail, as they do the SavedModel. The limit of pixels
    that the signature has is none of the file's.

    Args:
        model: folder of the SavedModel, with its training record.

    Returns:
        The ONNX model: `patches` [batch, height, width, channels] float32 -> `probabilities`
        [batch, height - 2 halo, width - 2 halo, classes] float32, with the entries of `metadata`.

    Raises:
        ModelError: the folder holds no model of this pipeline, or one without the signature.
    """
    entries = metadata(model)
    try:
        loaded = tf.saved_model.load(str(model))
        network = loaded.signatures[NETWORK]
        [channels] = network.structured_input_signature[1][INPUT].shape[3:]
    except KeyError as error:
        advice = "export the model again by a run of this version, or name another one with --model"
        raise ModelError(f"{model}: its SavedModel has no signature {NETWORK!r}: {advice}") from error
    except Exception as error:  # TensorFlow and Protobuf raise many kinds
        raise ModelError(f"{model}: not a SavedModel that TensorFlow can load ({error})") from error

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)  # it tells its steps on standard error
    patches = tf.TensorSpec([None, None, None, channels], tf.float32, INPUT)
    # Assertions are no part of ONNX: the conversion leaves out what checks sides and pixels.
    function = tf.function(lambda x: network(**{INPUT: x})[OUTPUT], [patches], autograph=False)
    converted, _ = tf2onnx.convert.from_function(function, [patches], opset=OPSET)
    for graph in list(_graphs(converted.graph)):
        _simplify(graph)
    _name(converted.graph)
    converted.producer_name, converted.producer_version = "unet-pipeline", ""
    converted.doc_string = entries["input"] + " " + entries["output"]
    if entries["version"].isdecimal():
        converted.model_version = int(entries["version"])
    onnx.helper.set_model_props(converted, entries)
    onnx.checker.check_model(converted)
    return converted


def metadata(model: Path) -> dict[str, str]:
    """What a caller has to know to use the network without this project: texts, and JSON of everything else.

    Args:
        model: folder of the SavedModel.

    Raises:
        ModelError: the model has no training record, or one of an earlier version.
    """
    record = training_record(model)
    card = read_card(model)
    try:
        geometry = Geometry.of_record(record)
        told: dict[str, Any] = {
            "classes": record["classes"],
            "class_values": record["class_values"],
            "background": record["background"],
            "channels": record["channels"],
            "normalization": record["normalization"],
            "scale": record["scale"],
            "geometry": {**geometry.record, "output_smaller_by": 2 * geometry.halo},
            "max_area": record["max_area"],
            "test_time_augmentation": record["test_time_augmentation"],
        }
    except KeyError as error:
        raise ModelError(
            f"{model}: no training record of this pipeline that says {error}, so nobody could use the file: "
            "export the model again by a run of this version"
        ) from error
    told |= {name: record[name] for name in ("use_channels", "value_range") if record.get(name)}
    if OPERATING_POINT in record:
        told[OPERATING_POINT] = record[OPERATING_POINT]
    if card:
        told["model_card"] = card
    return {
        "input": _input(record, geometry),
        "output": _output(record, geometry),
        "padding": _PADDING,
        "version": str(card.get("version", "not pushed")),
        "licence_of_the_data": card.get("data_licence") or "not stated",
        "sha256_of_the_saved_model": digest(model),
        **{name: json.dumps(value) for name, value in told.items()},
    }


def _input(record: Mapping[str, Any], geometry: Geometry) -> str:
    constants = record["normalization"]
    of = "of the channel, in the entry normalization"
    if constants["over"] == "image":
        of = "of each channel of the whole image before it is padded (a deviation of 0 counts as 1)"
    resized = ""
    if record["scale"] != 1:
        resized = (
            f"Before that the image is resized by {record['scale']} (bilinear, antialiased, rounded to "
            "integers of 16 bits), and the probabilities are resized back. "
        )
    return (
        f"{INPUT}: float32 [batch, height, width, {record['channels']}], (value - mean) / stddev, values on "
        f"the scale of 0 to 255 (16 bits divided by 257), mean and stddev {of}. {resized}"
        f"Height and width: {geometry.smallest} + {geometry.step} k pixels; tiles of an image start at "
        f"multiples of {geometry.step} pixels."
    )


def _output(record: Mapping[str, Any], geometry: Geometry) -> str:
    decided = "the class of a pixel is the most probable one"
    if point := record.get(OPERATING_POINT):
        decided += " after each probability is multiplied by the factor of its class, see operating_point"
        if "threshold" in point:
            decided = f"a pixel is of the second class where that is more probable than {point['threshold']}"
    return (
        f"{OUTPUT}: float32 [batch, height - {2 * geometry.halo}, width - {2 * geometry.halo}, "
        f"{len(record['classes'])}], of the input without {geometry.halo} pixels at each side; {decided}."
    )


def _name(graph: onnx.GraphProto) -> None:
    """Gives input, output and their sizes the names that the SavedModel's signature has."""
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for part in _graphs(graph):
        for node in part.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
    for value in (graph.input[0], graph.output[0]):
        value.name = names[value.name]
        for size, name in zip(value.type.tensor_type.shape.dim, _SIZES[value.name], strict=False):
            size.dim_param = name


def _simplify(graph: onnx.GraphProto) -> None:
    """Leaves out what the conversion puts behind each up-convolution, which not every runtime takes.

    TensorFlow is told the size of the output, so it is cut or padded to that size, which is computed as the
    graph runs. An up-convolution whose stride is its kernel has the size already.
    """
    makers = {name: node for node in graph.node for name in node.output}
    same: dict[str, str] = {}
    for node in graph.node:
        cut = makers.get(node.input[0]) if node.op_type == "Pad" else None
        made = makers.get(cut.input[0]) if cut is not None and cut.op_type == "Slice" else None
        if made is not None and _only_enlarges(made):
            same[node.output[0]] = made.output[0]
    for part in _graphs(graph):
        for node in part.node:
            node.input[:] = [same.get(name, name) for name in node.input]
    while True:
        read = {name for part in _graphs(graph) for node in part.node for name in node.input}
        read |= {value.name for part in _graphs(graph) for value in part.output}
        kept = [node for node in graph.node if read & set(node.output)]
        if len(kept) == len(graph.node):
            break
        del graph.node[:]
        graph.node.extend(kept)
    constants = [constant for constant in graph.initializer if constant.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _only_enlarges(node: onnx.NodeProto) -> bool:
    """Whether a node is an up-convolution each of whose outputs comes from one input."""
    if node.op_type != "ConvTranspose":
        return False
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return given["kernel_shape"] == given["strides"] and not any(given.get("pads", ()))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and the graphs of its loops and conditions."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
