"""Error messages and proposed settings for masks with undeclared values."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from unet.images.raster import ImageError
from unet.masks.background import background_first, is_void
from unet.masks.labels import INSTANCES, LabelMap, Value, is_color
from unet.masks.shapes import Shape, are_objects, is_thin
from unet.masks.values import MaskStats, color_of, number_of

_CLASSES = 20  # largest number of values that are proposed as classes
EACH_AN_OBJECT = "each number is an object"  # how the advice for numbers of objects begins
_NEAR = 8  # furthest a smoothed or rounded value is from the one it stands for
_APART = 8  # how many times as far any other value must be
_RIM = 0.5  # largest number of pixels of a rim, as a share of those of the value beside it
_FEW = 0.05  # the same for values whose shape is not known
_VOC_VOID = 0xE0E0C0  # color of PASCAL VOC's void
_LISTED = 6  # largest number of values whose shares are listed
_BARE = re.compile("[A-Za-z0-9_-]+")
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
    classes = _named(values, in_color)
    return [classes, objects] if not in_color and _may_number_objects(all_mask_stats) else [classes]


def _named(values: Sequence[int], in_color: bool) -> dict[str, Value]:
    if len(values) == 2:
        names = ["background", "foreground"]
    else:
        names = ["background", *(f"class_{i if in_color else v}" for i, v in enumerate(values) if i)]
    return {n: f"#{v:06x}" if in_color else v for n, v in zip(names, values, strict=True)}


def as_setting(classes: Mapping[str, Value]) -> str:
    """Formats classes as the value of --set classes=..., for use in a shell's single quotes."""
    pairs = (f"{name}={v}" if isinstance(v, int) else f'{name}="{v}"' for name, v in classes.items())
    return "{" + ", ".join(pairs) + "}"


def advise_on_all(
    all_mask_stats: Sequence[MaskStats], label_map: LabelMap, shapes: Sequence[Mapping[int, Shape]] = ()
) -> str | None:
    """Common advice for all masks with undeclared values, except blurred masks; None without a proposal.

    Args:
        all_mask_stats: statistics of all masks.
        label_map: the classes that are declared.
        shapes: shapes of the values in some of the masks.
    """
    sharp = [mask_stats for mask_stats in all_mask_stats if not is_blurred(mask_stats, label_map)]
    in_color = _any_color(sharp)
    if not in_color and are_objects(shapes):
        return f"{EACH_AN_OBJECT}: {_command({'background': 0, 'object': INSTANCES})}"
    totals = _totals(sharp)
    if (void := _void(totals, label_map, shapes, in_color)) is not None:
        value, option = (
            (f"#{void:06x}", f"""'ignore="#{void:06x}"'""") if in_color else (f"{void}", f"ignore={void}")
        )
        rest = sorted(totals.keys() - {void})
        given = _given(label_map) if in_color == label_map.in_color else {}
        names = {given.get(v, "background" if i == 0 else f"class_{i if in_color else v}"): v
                 for i, v in enumerate(rest)}  # fmt: skip
        if len(names) == len(rest):
            classes = {name: f"#{v:06x}" if in_color else v for name, v in names.items()}
            settings = f"{_command(classes)} --set {option}"
            return f"{value} is void, as VOC marks outlines and unclear parts: {settings}"
    if not in_color and (near := _near_misses(totals, label_map, shapes)):
        return f"values beside those of a class ({near}) come from smoothing or rounding; {_NEAREST}"
    if not in_color and (shifted := _shifted(totals, label_map)):
        by = min(totals) - min(int(v) for v in label_map.classes.values())
        return f"the values are those of the classes and {by} more: {_command(shifted)}"
    if not in_color and (centers := _centers(totals, shapes)):
        classes = _named(centers, False)
        return (
            "values beside more frequent ones come from smoothing or rounding; name the others:"
            f" {_command(classes)} --set mask_values=nearest"
        )
    readings = propose_classes(sharp)
    if not readings:
        return None
    given_values = {value: name for name, value in label_map.classes.items()}
    named = {given_values.get(value, name): value for name, value in readings[0].items()}
    if len(named) < len(readings[0]):  # two values would have the same name
        named = readings[0]
    advice = f"name all values of the masks{_shares(named, sharp)}: {_command(named)}"
    if not in_color and totals and 0 not in totals:
        advice = f"no mask holds 0, so {min(totals)} is taken for the background: {advice}"
    return advice + "".join(f", or, if each number is an object: {_command(r)}" for r in readings[1:])


def advise_class_map(
    all_mask_stats: Sequence[MaskStats], found: tuple[Path, Mapping[str, Value]]
) -> str | None:
    """Advice to take the classes of a file beside the masks; None unless it names all of their values.

    Args:
        all_mask_stats: statistics of all masks.
        found: the file, and its classes.
    """
    path, classes = found[0], background_first(found[1])
    in_color = any(is_color(value) for value in classes.values())
    if in_color and any(mask_stats.kind == "grey" for mask_stats in all_mask_stats):
        return None
    if _any_color(all_mask_stats) and not in_color:
        return None
    numbers = {int(v[1:], 16) if isinstance(v, str) else v for v in classes.values()}
    values = {
        color_of(mask_stats, value) if in_color else number_of(mask_stats, value, 256)
        for mask_stats in all_mask_stats
        for value in mask_stats.counts
    }
    void, told = (_VOC_VOID if in_color else 255), ""
    left = values - numbers
    named = [name for name in classes if is_void(name)]
    if len(named) == 1 and not left and len(classes) > 2:  # the file itself says which pixels are of no class
        value = classes.pop(named[0])
        void, told = (int(value[1:], 16) if isinstance(value, str) else value), f", and ignore its {named[0]}"
        left = {void}
    if left - {void} or any("'" in name or "/" in name or name.startswith(".") for name in classes):
        return None
    setting = f"classes={_as_setting_of_any_names(classes)}"
    option = f"""--set 'ignore="#{void:06x}"'""" if in_color else f"--set ignore={void}"
    return f"take the classes of {path.name}{told}: --set '{setting}'" + (f" {option}" if left else "")


def _as_setting_of_any_names(classes: Mapping[str, Value]) -> str:
    """Formats classes of any names as `as_setting` does."""
    return as_setting({n if _BARE.fullmatch(n) else json.dumps(n): v for n, v in classes.items()})


def _given(label_map: LabelMap) -> dict[int, str]:
    """Name of each declared value, a number or 0xRRGGBB."""
    return {
        int(v[1:], 16) if isinstance(v, str) else v: name
        for name, v in label_map.classes.items()
        if v != INSTANCES
    }


def _near_misses(
    totals: Mapping[int, int], label_map: LabelMap, shapes: Sequence[Mapping[int, Shape]]
) -> str | None:
    """Text that lists the undeclared values, if each is a declared one that was smoothed or rounded."""
    if label_map.in_color or INSTANCES in label_map.classes.values():
        return None
    declared = [*_given(label_map), *([label_map.ignore] if isinstance(label_map.ignore, int) else [])]
    pairs = []
    for value in sorted(totals.keys() - set(declared)):
        nearest, second = sorted(declared, key=lambda d: abs(d - value))[:2]
        distance = abs(nearest - value)
        if distance > _NEAR or abs(second - value) < _APART * distance:
            return None
        if nearest in totals and not _is_rim(value, nearest, totals, shapes):
            return None
        pairs.append((value, nearest))
    left = (totals.keys() & set(_given(label_map))) | {nearest for _, nearest in pairs}
    if not pairs or len(left - {label_map.ignore}) < 2:  # a class would be lost
        return None
    more = f", and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else ""
    return ", ".join(f"{value} beside {nearest}" for value, nearest in pairs[:_LISTED]) + more


def _is_rim(
    value: int, frequent: int, totals: Mapping[int, int], shapes: Sequence[Mapping[int, Shape]]
) -> bool:
    """Whether a value has few pixels beside another one's, and nowhere covers more than a line."""
    if not shapes:
        return totals[value] <= _FEW * totals[frequent]
    return totals[value] <= _RIM * totals[frequent] and is_thin(value, shapes)


def _centers(totals: Mapping[int, int], shapes: Sequence[Mapping[int, Shape]]) -> list[int] | None:
    """The values without the rims of a step or two beside them; None if there are no such rims."""
    centers: list[int] = []
    furthest = 0
    for value in sorted(totals, key=lambda v: -totals[v]):
        near = [c for c in centers if abs(c - value) <= _NEAR and _is_rim(value, c, totals, shapes)]
        if near and shapes:
            furthest = max(furthest, min(abs(c - value) for c in near))
        else:
            centers.append(value)
    centers.sort()
    gaps = [b - a for a, b in pairwise(centers)]
    return centers if furthest and 2 <= len(centers) <= _CLASSES and min(gaps) >= _APART * furthest else None


def _void(
    totals: Mapping[int, int], label_map: LabelMap, shapes: Sequence[Mapping[int, Shape]], in_color: bool
) -> int | None:
    """The value that marks pixels of no class, as VOC and its kin export it; None without one."""
    if label_map.ignore is not None or len(totals) < 3:
        return None
    if in_color:
        return _VOC_VOID if _VOC_VOID in totals and is_thin(_VOC_VOID, shapes) else None
    values = sorted(totals)
    if values == [0, values[1], 255] and 120 <= values[1] <= 136:  # a trimap
        return values[1] if is_thin(values[1], shapes) else None
    highest = values.pop()
    classes = highest in (254, 255, 65535) and values[0] == 0 and values[-1] < 128
    # 255 far from three and more classes in a row is that of Cityscapes or ADE20K, whatever its width.
    in_a_row = len(values) > 2 and values == list(range(len(values)))
    in_a_row = in_a_row and not all(is_thin(value, shapes) for value in values[1:])
    return highest if classes and (in_a_row or is_thin(highest, shapes)) else None


def _shifted(totals: Mapping[int, int], label_map: LabelMap) -> dict[str, Value] | None:
    """The declared classes with a constant added to each, if those are the values; else None."""
    given = _given(label_map)
    if len(given) < len(label_map.classes) or label_map.in_color or not totals:
        return None
    by = min(totals) - min(given)
    if not by or not totals.keys() <= {value + by for value in given} or len(totals) < 2:
        return None
    return {name: value + by for value, name in given.items()}


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
    return f"--set 'classes={as_setting(background_first(classes))}'"


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
