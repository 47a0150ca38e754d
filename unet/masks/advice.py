"""Error messages and proposed settings for masks with undeclared values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from unet.images.raster import ImageError
from unet.masks.labels import INSTANCES, LabelMap, Value, is_color
from unet.masks.values import MaskStats, color_of, number_of

_CLASSES = 20  # largest number of values that are proposed as classes
_LISTED = 6  # largest number of values whose shares are listed
_NEAREST = "--set mask_values=nearest takes the nearest class for each pixel"


def propose_classes(all_mask_stats: Sequence[MaskStats]) -> list[dict[str, Value]]:
    """Proposes the setting `classes` for the values in masks, the likelier one first; empty for images."""
    in_color = _any_color(all_mask_stats)
    totals = _totals(all_mask_stats)
    objects: dict[str, Value] = {"background": 0, "object": INSTANCES}
    if len(totals) > _CLASSES:
        numbered = sum(_numbers_objects(mask_stats) for mask_stats in all_mask_stats)
        return [objects] if not in_color and numbered > len(all_mask_stats) / 2 else []
    values = sorted(totals)
    if not values:
        return []
    if in_color and 0 not in totals:
        values.sort(key=lambda value: -totals[value])
    if len(values) == 2:
        names = ["background", "foreground"]
    else:
        names = ["background", *(f"class_{i if in_color else v}" for i, v in enumerate(values) if i)]
    classes = {n: f"#{v:06x}" if in_color else v for n, v in zip(names, values, strict=True)}
    return [classes, objects] if not in_color and _may_number_objects(all_mask_stats) else [classes]


def as_setting(classes: Mapping[str, Value]) -> str:
    """Formats classes as the value of --set classes=..., for use in a shell's single quotes."""
    pairs = (f"{name}={v}" if isinstance(v, int) else f'{name}="{v}"' for name, v in classes.items())
    return "{" + ", ".join(pairs) + "}"


def advise_on_all(all_mask_stats: Sequence[MaskStats], label_map: LabelMap) -> str | None:
    """Common advice for all masks with undeclared values, except blurred masks; None without a proposal."""
    sharp = [mask_stats for mask_stats in all_mask_stats if not is_blurred(mask_stats, label_map)]
    readings = propose_classes(sharp)
    if not readings:
        return None
    given = {value: name for name, value in label_map.classes.items()}
    named = {given.get(value, name): value for name, value in readings[0].items()}
    if len(named) < len(readings[0]):  # two values would have the same name
        named = readings[0]
    advice = f"name all values of the masks{_shares(named, sharp)}: {_command(named)}"
    return advice + "".join(f", or, if each number is an object: {_command(r)}" for r in readings[1:])


def undeclared(mask_stats: MaskStats, label_map: LabelMap, wrong: Mapping[int, int]) -> ImageError:
    """The error for a single mask; `wrong` maps its undeclared values, scaled by `number_of`, to pixels."""
    declared = ", ".join(f"{name}={value}" for name, value in label_map.classes.items())
    found = f"pixel values of no class ({declared}): {listed(wrong, label_map.in_color)}"
    if mask_stats.format == "JPEG":
        return ImageError(found, f"save masks as PNG: JPEG changes values; {_NEAREST}")
    if is_blurred(mask_stats, label_map):
        return ImageError(found, f"export it without smoothing: its edges look blurred; or {_NEAREST}")
    readings = propose_classes([mask_stats])
    if not readings:
        return ImageError(found, f"it may be an image: store the class of each pixel; or {_NEAREST}")
    classes = readings[0]
    # A class for every value, found or declared, so that the proposed setting fits the next masks, too.
    if not label_map.in_color and len(classes) != 2:
        classes = {
            **label_map.classes,
            **{n: v for n, v in classes.items() if v not in label_map.classes.values()},
        }
        classes = dict(sorted(classes.items(), key=lambda item: (isinstance(item[1], str), item[1])))
    return ImageError(found, f"declare them, for example {_command(classes)}")


def in_color(mask_stats: MaskStats) -> ImageError:
    """The error for a mask in colour where the classes are numbers."""
    advice = "save it in grey, each pixel holding the value of its class"
    for classes in propose_classes([mask_stats]):
        advice = f"declare its colours, {_command(classes)}, or {advice}"
    return ImageError(f"a mask in colour ({listed(mask_stats.counts, True)})", advice)


def listed(counts: Mapping[int, int], in_color: bool) -> str:
    """Text that lists the most frequent values and their pixels."""
    most = sorted(counts, key=lambda value: -counts[value])[:5]
    text = ", ".join(f"{f'#{v:06x}' if in_color else v} ({counts[v]} pixels)" for v in sorted(most))
    return text + (", ..." if len(counts) > 5 else "")


def _any_color(all_mask_stats: Sequence[MaskStats]) -> bool:
    return any(mask_stats.kind == "colour" for mask_stats in all_mask_stats)


def _totals(all_mask_stats: Sequence[MaskStats]) -> Counter[int]:
    """Number of pixels of each value, or of each colour if any mask has colours."""
    totals: Counter[int] = Counter()
    in_color = _any_color(all_mask_stats)
    for mask_stats in all_mask_stats:
        for value, count in mask_stats.counts.items():
            totals[color_of(mask_stats, value) if in_color else number_of(mask_stats, value, 256)] += count
    return totals


def _shares(classes: Mapping[str, Value], all_mask_stats: Sequence[MaskStats]) -> str:
    """Text with each value's share of the pixels, in brackets, which helps to name the classes."""
    totals = _totals(all_mask_stats)
    shares = [
        f"{value} {totals[int(str(value)[1:], 16) if is_color(value) else int(value)] / totals.total():.1%}"
        for value in classes.values()
        if value != INSTANCES
    ]
    return f" (of the pixels: {', '.join(shares)})" if 2 < len(shares) <= _LISTED else ""


def _command(classes: Mapping[str, Value]) -> str:
    return f"--set 'classes={as_setting(classes)}'"


def _numbers_objects(mask_stats: MaskStats) -> bool:
    """Whether a mask seems to number its objects: few gaps, much background, no dominating object."""
    objects = {value: count for value, count in mask_stats.counts.items() if value}
    background = mask_stats.counts.get(0, 0)
    frequent = sorted(objects, key=lambda value: objects[value])[-2:]
    # In a blurred mask white is the most frequent value besides black.
    blurred = frequent[-1:] in ([255], [65535]) and objects[frequent[-1]] > objects[frequent[0]]
    return (
        len(objects) > 1
        and mask_stats.format != "JPEG"
        and max(objects) <= 4 * len(mask_stats.counts)
        and background > max(objects.values())
        and max(objects.values()) < 0.5 * sum(objects.values())
        and not (blurred and frequent[-1] == max(objects))
    )


def _may_number_objects(all_mask_stats: Sequence[MaskStats]) -> bool:
    """Whether each mask counts up from 1, and to different numbers, as numbers of few objects do."""
    last = set()
    for mask_stats in all_mask_stats:
        values = sorted(value for value in mask_stats.counts if value)
        if mask_stats.format == "JPEG" or values != list(range(1, len(values) + 1)):
            return False
        last.add(len(values))
    return len(last - {0}) > 1


def is_blurred(mask_stats: MaskStats, label_map: LabelMap) -> bool:
    """Whether a mask is a JPEG, or holds several undeclared values and two more frequent declared ones."""
    if mask_stats.format == "JPEG":
        return True
    if label_map.in_color:
        values = {v: color_of(mask_stats, v) for v in mask_stats.counts}
    else:
        values = {v: number_of(mask_stats, v, 255) for v in mask_stats.counts}
    declared = {
        int(str(v)[1:], 16) if is_color(v) else v for v in (*label_map.classes.values(), label_map.ignore)
    }
    wrong = set(values.values()) - declared
    if len(wrong) < 3:
        return False
    if label_map.in_color:
        return len(wrong) > _CLASSES
    return {values[v] for v in sorted(values, key=lambda v: -mask_stats.counts[v])[:2]} <= declared
