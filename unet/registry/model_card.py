"""The model card of a pushed model, as JSON and as Markdown: input, output, training, data and metrics.

The card is part of the SavedModel, in `assets.extra`, for people who do not have this project (after Mitchell
et al. 2019, "Model Cards for Model Reporting").
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet.files import raise_passing
from unet.registry.records import CARDS, OPERATING_POINT, digest, training_record

LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md")


def license_of(data: Path) -> str:
    """First line of the licence file in a data folder; empty without such a file."""
    for name in LICENSE_FILES:
        if (data / name).is_file():
            text = (data / name).read_text(encoding="utf-8", errors="replace")
            return next((line.strip("# ").strip() for line in text.splitlines() if line.strip()), "")
    return ""


def write_card(model: Path, version: int, facts: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Adds the model card to the copy of a SavedModel that is about to be pushed.

    Args:
        model: folder of the SavedModel, with its training record.
        version: version number of the pushed model.
        facts: entries from the run: `data_sha256`, `data_licence`, `images` (number in each split), `code`
            and `configuration` (fingerprints).
        metrics: values of the gate's metrics on the test split.
    """
    record = training_record(model)
    card = {
        "version": version,
        "pushed": _now(),
        "sha256": digest(model),
        "input": "PNG (grey or RGB, 8 or 16 bits) or JPEG, of any size",
        "output": "PNG of the same size, a value of `class_values` for each pixel",
        "classes": record.get("classes"),
        "class_values": record.get("class_values"),
        "class_colors": record.get("class_colors"),  # those of the signature `colored`
        "background": record.get("background", "first"),
        "operating_point": record.get(OPERATING_POINT),
        "channels": record.get("channels"),
        "normalization": record.get("normalization"),
        "scale": record.get("scale"),
        "geometry": record.get("geometry"),
        "training": {
            "learning_rate": record.get("learning_rate"),
            **record.get("recipe", {}),
            **record.get("tuned", {}),  # the chosen values replace the searched ones of the recipe
            **{name: record[name] for name in ("steps", "refit") if name in record},
        },
        # JSON has no NaN.
        "metrics_on_test_split": {k: None if math.isnan(v) else v for k, v in metrics.items()},
        **facts,
    }
    _write(model, card)


def read_card(model: Path) -> dict[str, Any]:
    """The card of a model; empty if the model has no readable card."""
    try:
        card = json.loads((model / CARDS[0]).read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise_passing(error)
        return {}
    return card if isinstance(card, dict) else {}


def hashes(model: Path) -> set[str]:
    """The digest of a version, and that of what was pushed: two are of a damaged one.

    A version without a readable card, or from before cards held the digest, is taken for what was pushed.
    """
    return {found := digest(model), str(read_card(model).get("sha256", found))}


def renumber_card(model: Path, version: int) -> None:
    """Sets the version in the card of a copy, and records the version that was copied."""
    card = read_card(model)
    if "version" in card:  # a damaged card must not keep a good model out of service
        _write(model, {**card, "version": version, "rolled_back_to": card["version"], "pushed": _now()})


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _write(model: Path, card: Mapping[str, Any]) -> None:
    as_json, as_markdown = (model / name for name in CARDS)
    as_json.parent.mkdir(exist_ok=True)
    as_json.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    as_markdown.write_text(_markdown(card), encoding="utf-8")


def _markdown(card: Mapping[str, Any]) -> str:
    classes = zip(card["classes"] or [], card["class_values"] or [], strict=False)
    rows = {
        "input": card["input"],
        "output": card["output"],
        "classes": ", ".join(f"{name} = {value}" for name, value in classes),
        "background": (card["classes"] or ["–"])[0] if card["background"] == "first" else "none",
        "channels": card["channels"],
        "normalization": _normalization(card["normalization"]),
        "network": _network(card["training"]),
        "images": ", ".join(f"{count} {split}" for split, count in card["images"].items()),
        "learned from": "train and eval" if card["training"].get("refit") else "train",
        "data (SHA-256)": card["data_sha256"],
        "licence of the data": card["data_licence"] or "not stated",
        "code, configuration": f"{card['code']}, {card['configuration']}",
        "pushed": card["pushed"],
    }
    if point := card.get("operating_point"):
        rows["operating point"] = f"{_decision(point, card['classes'])}, chosen for {point['aim']}"
    if "rolled_back_to" in card:
        rows["a copy of"] = f"version {card['rolled_back_to']}, which a rollback brought back"
    if "promoted" in card:
        promotion = card["promoted"]
        rows["past the gate"] = (
            f"by {promotion['who']}, {promotion['when']}, from run {promotion['run']}: {promotion['reason']}"
        )
    lines = [
        f"# U-Net, version {card['version']}",
        "",
        "Semantic segmentation by a U-Net (Ronneberger, Fischer, Brox 2015): an encoded image in, a mask of",
        "the same size out. What this model has not seen in training it may get wrong without a warning.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {_cell(value)} |" for key, value in rows.items()),
        "",
        "| metric on the test split | value |",
        "|---|---|",
        *(
            f"| {name} | {'-' if value is None else format(value, '.4f')} |"
            for name, value in card["metrics_on_test_split"].items()
        ),
        "",
    ]
    return "\n".join(lines)


def _decision(point: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Describes an operating point."""
    if "threshold" in point:
        return f"{classes[-1]} above a probability of {point['threshold']:.4g}"
    factors = zip(classes, point["factors"], strict=True)
    each = ", ".join(f"{name} {factor:.3g}" for name, factor in factors)
    return f"the highest of the probabilities times {each}"


def _cell(value: Any) -> str:
    return str(value).replace("|", r"\|")


def _network(training: Mapping[str, Any]) -> str:
    """Names the layers, from the settings of the training."""
    parts = [f"depth {training.get('depth')}, {training.get('base_filters')} filters"]
    if training.get("stem_stride", 1) > 1:
        parts.append("stem of stride 2")
    if training.get("normalization_layer", "none") != "none":
        parts.append(f"{training['normalization_layer']} normalization, folded into the convolutions")
    if training.get("residual"):
        parts.append("residual blocks")
    return ", ".join(parts)


def _normalization(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    scale = "values on the scale of 0 to 255 (16 bits divided by 257)"
    if found["over"] == "image":
        return f"(value - mean) / standard deviation, of each channel of each image; {scale}"
    return f"(value - mean) / standard deviation: mean {found['mean']}, deviation {found['stddev']}; {scale}"
