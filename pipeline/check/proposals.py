"""Proposes settings that fit a set of images, each with its reason; nothing applies them unasked."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.check.gravity import gravity
from pipeline.check.sequences import grouping
from pipeline.config.profile import toml_value
from pipeline.config.settings import PipelineConfig
from unet.dataset.inspection import SampleStats
from unet.dataset.sample import Sample
from unet.dataset.settings import ReadSettings
from unet.images.capacity import cores
from unet.images.memory import one_at_a_time
from unet.masks.reader import read_mask
from unet.tiling import Geometry

_MASKS = 64  # number of masks in which objects are measured
_CROP = 2048  # side in pixels of the measured part of a mask
_TILT = 15  # degrees by which a photograph may be rotated at most
_EXPOSURES = 0.25  # threshold of the spread of the images' means, in standard deviations of their pixels
_SMALLEST = 8  # pixels across: one or two 2x2 poolings away from a single pixel
_SMALL = 5  # percentile of the objects' pixels at which an object is small
_THINNEST = 4  # pixels that the narrowest class keeps where images are made smaller
_NEAR = 0.8  # scales above are not worth their blur
_RARE = 0.05  # share of the pixels below which a class counts as rare
_FILTERS_COST = 1.3  # exponent: twice the filters make a step 2.5 times as long on a processor
# Of the default settings: the least size of a patch of large images, and the least number of training steps.
_PATCH, _STEPS = (PipelineConfig.model_fields[name].default for name in ("patch_size", "steps"))
_OUTPUT = 260  # least size of its output, which is that of the default: deep networks lose more at the border
_PASSES = 60  # how often training should see each pixel, augmented differently every time


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of a class.

    Attributes:
        diameter: of a typical object as a circle, in pixels.
        width: how wide they are, in pixels: of a line its width, of a circle 0.4 diameters.
        small: pixels of a small one: one in twenty has fewer.
    """

    diameter: float
    width: float
    small: float


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A proposed value of a setting, the current one, and the reason; `value` and `current` as TOML."""

    key: str
    value: str
    current: str
    reason: str

    @property
    def changes(self) -> bool:
        """Whether the proposed value differs from the current one."""
        return self.value != self.current


def propose(
    samples: Sequence[Sample], facts: Sequence[SampleStats], settings: ReadSettings, config: PipelineConfig
) -> list[Proposal]:
    """Proposes `normalize`, `scale`, `loss`, `base_filters`, `patch_size`, `tile_stride` and `steps`.

    Masks with separate objects get a proposal of `min_object_size`. Images of sequences get one of groups,
    see `sequences.grouping`; images with an up and a down of `flip` and `quarter_turns`, see
    `gravity.gravity`.

    Args:
        samples: the usable samples.
        facts: statistics of these samples, in the same order.
        settings: how the masks are read.
        config: the current values.
    """
    if not facts:
        return []
    normalize, why_normalize = _normalize(facts)
    side = statistics.median(min(fact.height, fact.width) for fact in facts)
    objects = _objects(samples, settings)
    scale, why_scale = _scale(objects, side, Geometry.of(config))
    side *= scale
    patch_size, why_patch_size = _patch_size(side, Geometry.of(config))
    stride, why_stride = _tile_stride(facts, scale)
    megapixels = sum(fact.height * fact.width for fact in facts) * scale**2 * config.shares["train"] / 1e6
    filters, why_filters = _filters(megapixels)
    steps, why_steps = _steps(megapixels, patch_size, config)
    loss, loss_in_use, why_loss = _loss(facts, config)
    proposed = [
        ("normalize", f'"{normalize}"', f'"{config.normalize}"', why_normalize),
        ("scale", f"{scale:g}", f"{config.scale:g}", why_scale),
        ("loss", loss, loss_in_use, why_loss),
        ("base_filters", f"{filters}", f"{config.base_filters}", why_filters),
        ("patch_size", f"{patch_size}", f"{config.patch_size}", why_patch_size),
        ("tile_stride", f"{stride}", f"{config.tile_stride}", why_stride),
        ("steps", f"{steps}", f"{config.steps}", why_steps),
    ]
    if objects:
        least, why_least = _min_object_size(objects, config.min_object_size)
        proposed.append(("min_object_size", f"{least}", f"{config.min_object_size}", why_least))
    proposals = [Proposal(*row) for row in proposed]
    if groups := grouping(samples, settings):
        key, value, why = groups
        proposals.insert(0, Proposal(key, value, f"{getattr(config, key) or 0}", why))
    return proposals + _upright(samples, settings, config)


def training_time(proposals: Sequence[Proposal], config: PipelineConfig) -> float:
    """Estimates the duration of a training with the proposals, as a multiple of the current one."""
    values = {proposal.key: proposal.value for proposal in proposals}
    if not values or config.minutes:
        return 1.0
    filters, patch_size, steps = (float(values[key]) for key in ("base_filters", "patch_size", "steps"))
    a_step = (filters / config.base_filters) ** _FILTERS_COST * (patch_size / config.patch_size) ** 2
    return a_step * steps / config.steps


def _upright(samples: Sequence[Sample], settings: ReadSettings, config: PipelineConfig) -> list[Proposal]:
    """Proposes not to turn patches over if the images have an up and a down."""
    if not (found := gravity(samples, settings)):
        return []
    seen = f"the upper part is {found.what} in {found.share:.0%} of {found.images} images: they have an up"
    flip = "none" if config.flip == "none" else "horizontal"
    turns = toml_value(config.quarter_turns)
    rows = [
        ("flip", toml_value(flip), toml_value(config.flip), f"{seen} and a down, as photographs do"),
        ("quarter_turns", "false", turns, "images of that kind are not seen turned"),
    ]
    if config.spatial_augment_prob:
        rotation = min(config.rotation, _TILT)
        why = f"a camera is tilted by no more than {_TILT} degrees"
        rows.append(("rotation", f"{rotation:g}", f"{config.rotation:g}", why))
    return [Proposal(*row) for row in rows]


def _normalize(facts: Sequence[SampleStats]) -> tuple[str, str]:
    seen = [f for f in facts if f.stddev] or facts  # images of one value have no exposure
    means, deviations = [f.mean for f in seen], [f.stddev for f in seen]
    spread = statistics.pstdev(means) / max(statistics.median(deviations), 1e-6)
    text = f"the means of the images vary by {spread:.2f} of a deviation of their pixels: exposures "
    if spread > _EXPOSURES:
        return "image", text + "differ, each image is its own standard"
    return "dataset", text + "agree, and an empty image stays recognisable as one"


def _scale(objects: Mapping[str, Objects], side: float, geometry: Geometry) -> tuple[float, str]:
    """Returns the proposed scale of images, of whose shorter sides `side` is typical, and the reason."""
    field = geometry.smallest
    if not objects:
        return 1.0, "the foreground is no separate objects that could be too large or too small"
    # Of several classes the middle one, or else the largest would decide about the rest.
    diameter = statistics.median_low(found.diameter for found in objects.values())
    seen = f"objects are about {diameter:.0f} pixels across and the network sees about {field}"
    if diameter > field / 2:
        scale = max(0.05, round(field / 2 / diameter, 2))
        thin = min(objects, key=lambda name: objects[name].width)
        limits = {
            _THINNEST / objects[thin].width: f"{thin} is about {objects[thin].width:.0f} pixels wide",
            field / side: f"images are about {side:.0f} pixels wide",
        }
        limit = max(limits)
        if scale >= limit:
            return scale, f"{seen}: twice the object should fit"
        seen += f", but {limits[limit]}"
        if limit < _NEAR:
            return math.ceil(100 * limit) / 100, f"{seen}: no smaller than that"
        return 1.0, f"{seen}: too small to be made smaller"
    if diameter < _SMALLEST:
        return min(4.0, round(1.5 * _SMALLEST / diameter, 1)), f"{seen}: the poolings would lose them"
    return 1.0, f"{seen}: they fit, with what is around them"


def _min_object_size(objects: Mapping[str, Objects], current: int) -> tuple[int, str]:
    """Returns the least size of a predicted object, in pixels, and the reason."""
    name, small = min(((name, found.small) for name, found in objects.items()), key=lambda pair: pair[1])
    seen = f"of {name} one in twenty has fewer than {small:.0f} pixels"
    if small >= current:
        return current, f"{seen}: what is smaller than {current} is a speck"
    return int(small) // 2, f"{seen}, which would be left out of the scores of objects"


def _loss(facts: Sequence[SampleStats], config: PipelineConfig) -> tuple[str, str, str]:
    """Returns the proposed loss, the current one, and the reason."""
    terms = {name: weight for name, weight in config.loss.items() if weight}
    equal = set(terms.values()) == {1.0}
    current = toml_value("+".join(terms) if equal else terms)
    pixels: Counter[str] = Counter()
    for fact in facts:
        pixels.update(fact.class_pixels)
    name = min(list(config.classes)[config.first_foreground :], key=pixels.__getitem__)
    seen = f"{name} has {pixels[name] / max(pixels.total(), 1):.1%} of the pixels"
    if pixels[name] >= _RARE * pixels.total():
        return current, current, f"{seen}: enough to be learned pixel by pixel"
    why = f"{seen}: Dice counts classes, not pixels, and finds more of it (docs/how-to/rare-class.md)"
    return current if terms.keys() & {"dice", "tversky"} else '"cross_entropy+dice"', current, why


def _patch_size(side: float, geometry: Geometry) -> tuple[int, str]:
    _, needed = geometry.nearest_valid_size(round(side) + 2 * geometry.halo)
    default = geometry.nearest_valid_size(max(_PATCH, 2 * geometry.halo + _OUTPUT))[1]
    if needed < default:
        return needed, f"images are about {side:.0f} pixels wide here: a larger patch holds mirrored borders"
    output = geometry.output_size(default)
    return (
        default,
        f"gives {output} x {output} pixels a patch, at {(default / output) ** 2:.1f} times the work of each",
    )


def _tile_stride(facts: Sequence[SampleStats], scale: float) -> tuple[int, str]:
    largest = max(max(fact.height, fact.width) for fact in facts) * scale
    if largest > 2048:
        return 1024, f"images of up to {largest:.0f} pixels: larger tiles overlap less and take less disk"
    return 512, "tiles hold a patch anywhere in them, and take at most 2 times the pixels of a large image"


def _filters(megapixels: float) -> tuple[int, str]:
    seen = f"{megapixels:.1f} megapixels to learn from"
    if megapixels > 200:
        return 32, f"{seen}: enough for a large network, given a GPU"
    if megapixels > 20:
        return 16, f"{seen}: more filters than the default have something to tell apart"
    return 8, f"{seen}: a small network learns in minutes and forgets less"


def _steps(megapixels: float, patch_size: int, config: PipelineConfig) -> tuple[int, str]:
    geometry = Geometry.of(config)
    a_step = config.batch_size * geometry.output_size(patch_size) ** 2 / 1e6
    passes = _PASSES * megapixels / a_step
    steps = int(min(20000, max(_STEPS, round(passes, -2))))
    times = steps * a_step / max(megapixels, 1e-6)
    return steps, f"each training pixel is seen about {times:.0f} times, never twice the same"


def _objects(samples: Sequence[Sample], settings: ReadSettings) -> dict[str, Objects]:
    """Measures the objects of each class; classes without separate objects are left out."""
    step = max(1, len(samples) // _MASKS)
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        masks = list(pool.map(lambda sample: _measure(sample, settings), samples[::step][:_MASKS]))
    found = {}
    for name in dict.fromkeys(name for mask in masks for name in mask.areas):
        areas = np.sort(np.concatenate([mask.areas[name] for mask in masks if name in mask.areas]))
        # The median over pixels: a thousand specks beside one organ do not set the size.
        typical = areas[np.searchsorted(np.cumsum(areas), areas.sum() / 2)]
        if typical <= 0.25 * statistics.median(mask.pixels for mask in masks):  # or tissue, membranes, sky
            sides = sum(mask.sides[name] for mask in masks if name in mask.areas)
            width = 2 * areas.sum() / max(1, sides)
            small = float(np.percentile(areas, _SMALL))
            found[name] = Objects(float(2 * np.sqrt(typical / np.pi)), float(width), small)
    return found


@dataclasses.dataclass(frozen=True)
class _Measured:
    """The middle of a mask: pixels of it and of each object, and sides of pixels at borders, by class."""

    pixels: int
    areas: dict[str, NDArray[np.int64]]
    sides: dict[str, int]


def _measure(sample: Sample, settings: ReadSettings) -> _Measured:
    """Measures the objects in the center of a mask."""
    with one_at_a_time():
        mask = read_mask(
            sample.mask, settings.label_map, page=sample.page or 0, max_pixels=settings.max_pixels
        )
        top, left = (max(0, (side - _CROP) // 2) for side in mask.indices.shape)
        middle = (slice(top, top + _CROP), slice(left, left + _CROP))
        indices = mask.indices[middle].copy()  # a copy, so that the whole mask can be released
        instances = None if mask.instances is None else mask.instances[middle].copy()
        del mask
    if instances is not None:
        labeled, sides = {"an object": instances}, {"an object": int(_sides(instances)[1:].sum())}
    else:
        names = list(enumerate(settings.classes))[settings.first_foreground :]
        labeled = {name: ndimage.label(indices == index)[0] for index, name in names}
        counts = _sides(indices)  # neighbours of one class are of one object
        sides = {name: int(counts[index]) for index, name in names if index < len(counts)}
    areas = {name: np.bincount(labels.reshape(-1))[1:] for name, labels in labeled.items()}
    areas = {name: found[found > 0].astype(np.int64) for name, found in areas.items()}
    return _Measured(indices.size, {name: found for name, found in areas.items() if found.size}, sides)


def _sides(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Counts by value, of [H, W], the sides at which its pixels touch pixels of another value."""
    count = np.zeros(int(values.max()) + 1, np.int64)
    for one, other in ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1])):
        differ = one != other
        for side in (one, other):
            count += np.bincount(side[differ], minlength=len(count))
    return count
