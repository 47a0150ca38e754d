"""Segments an image by a model of `run_pipeline.py export onnx`: python onnx_mask.py MODEL IMAGE MASK.

It needs numpy, onnxruntime and Pillow. All that it knows of the model is in the file's metadata.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

TILE = 512  # pixels of a side that are predicted at a time: it changes memory and speed, not the mask


def read(path: str | Path, channels: int) -> np.ndarray:
    """The pixels of a grey or RGB image, [H, W, channels] uint16; values of 8 bits times 257."""
    with Image.open(path) as opened:
        pixels = np.asarray(ImageOps.exif_transpose(opened))
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[2:] not in ((), (3,)) or opened.mode == "P":
        sys.exit(f"{path}: an image of mode {opened.mode}: convert it to grey or RGB")
    if channels not in (1, 3):
        sys.exit(f"the model takes images of {channels} channels, which Pillow does not read")
    x: np.ndarray = pixels.reshape(*pixels.shape[:2], -1).astype(np.uint32)
    if channels == 1 and x.shape[2] == 3:
        x = (x @ np.array([[299], [587], [114]], np.uint32) + 500) // 1000  # ITU-R BT.601
    x = np.broadcast_to(x, (*x.shape[:2], channels))
    return (x * (257 if pixels.dtype == np.uint8 else 1)).astype(np.uint16)


def resize(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each channel of [H, W, C] resized: [height, width, C] float32; shrinking averages over all pixels."""
    maps = [Image.fromarray(np.ascontiguousarray(m, np.float32)) for m in np.moveaxis(x, -1, 0)]
    return np.stack([np.asarray(m.resize((width, height), Image.Resampling.BILINEAR)) for m in maps], -1)


def probabilities(
    session: onnxruntime.InferenceSession, told: dict[str, Any], pixels: np.ndarray
) -> np.ndarray:
    """Of each pixel and class, [H, W, classes] float32; `pixels` [H, W, channels] uint16."""
    height, width = pixels.shape[:2]
    if told["scale"] != 1:
        scaled = np.array([height, width], np.float32) * np.float32(told["scale"])
        pixels = np.round(resize(pixels, *np.maximum(1, np.round(scaled)).astype(int).tolist()))
    x = pixels.astype(np.float64) / 257
    if told["normalization"]["over"] == "image":
        mean, stddev = x.mean((0, 1)), x.std((0, 1))
        stddev[stddev < 1e-4] = 1
    else:
        mean, stddev = np.array(told["normalization"]["mean"]), np.array(told["normalization"]["stddev"])
    x = ((x - mean) / stddev).astype(np.float32)

    # Tiles start at multiples of the step, and each takes the halo around what it predicts.
    halo, step, smallest = (told["geometry"][name] for name in ("halo", "step", "smallest"))
    least = smallest - 2 * halo  # what the smallest tile predicts
    beyond = np.maximum(1, np.array(x.shape[:2]) - least)
    down, right = strides = step * np.minimum(max(1, TILE // step), -(-beyond // step))
    ends = -(-beyond // strides) * strides  # where the last tiles end, but for what they all have in common
    after = ends + least + halo - x.shape[:2]
    padded = np.pad(x, [(halo, after[0]), (halo, after[1]), (0, 0)], "reflect")
    found = np.zeros((*x.shape[:2], len(told["classes"])), np.float32)
    for top in range(0, ends[0], down):
        for left in range(0, ends[1], right):
            tile = padded[top : top + down + smallest, left : left + right + smallest]
            [[part]] = session.run(["probabilities"], {"patches": tile[None]})
            target = found[top : top + part.shape[0], left : left + part.shape[1]]
            target[...] = part[: target.shape[0], : target.shape[1]]
    return found if told["scale"] == 1 else resize(found, height, width)


def main(model: str, image: str, mask: str) -> None:
    """Writes the mask of an image: the class value, or colour, of each pixel."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    entries = session.get_modelmeta().custom_metadata_map
    names = ("classes", "class_values", "channels", "normalization", "scale", "geometry", "operating_point")
    told = {name: json.loads(entries[name]) for name in names if name in entries}
    found = probabilities(session, told, read(image, told["channels"]))
    point = told.get("operating_point", {})
    if "threshold" in point:
        indices = (found[..., 1] > point["threshold"]).astype(int)
    else:
        indices = (found * np.array(point.get("factors", 1), np.float32)).argmax(-1)
    values = np.array(told["class_values"])
    Image.fromarray(values.astype(np.uint8 if values.max() < 256 else np.uint16)[indices]).save(mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
