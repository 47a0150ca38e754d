"""Reads every file of a data set completely, on all cores, and lists all problems."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unet import progress
from unet.dataset.cache import InspectionCache
from unet.dataset.parallel import in_order
from unet.dataset.sample import Problem, Sample, split_named
from unet.files import hash_of, raise_passing, read_and_hash
from unet.images import raster
from unet.images.capacity import cores
from unet.images.channels import ChosenChannels
from unet.images.formats import read_file
from unet.images.memory import LARGE_FILE, one_at_a_time
from unet.images.reader import NeedsRange, as_range, read_image
from unet.masks import advice as mask_advice
from unet.masks.class_maps import find_class_map
from unet.masks.labels import LabelMap
from unet.masks.reader import count_classes, read_mask_stats
from unet.masks.shapes import Shape, measure_file
from unet.masks.values import MaskStats

_ONE_VALUE = "it has one value in all pixels, another one than others: store the class of each pixel"
_MEASURED = 16  # masks with undeclared values in which shapes are measured


@dataclass(frozen=True)
class SampleStats:
    """Statistics of a sample; fields and units of its image are those of `unet.images.reader.Image`.

    `class_pixels` is the number of pixels of each class, `ignored` that of ignored pixels. `stored` is the
    size of the canonical image in bytes.
    """

    name: str
    height: int
    width: int
    channels: int
    bit_depth: int
    mean: float
    stddev: float
    stored: int
    class_pixels: dict[str, int]
    ignored: int
    content: str
    turned: bool
    details: str


@dataclass(frozen=True)
class Inspection:
    """Result of `inspect`.

    Attributes:
        facts: statistics of the usable samples, in order.
        problems: problems of the other samples, by name.
        all_mask_stats: statistics of all readable masks, also of those with undeclared values.
    """

    facts: list[SampleStats]
    problems: dict[str, list[Problem]]
    all_mask_stats: list[MaskStats]


def inspect(
    samples: Sequence[Sample],
    label_map: LabelMap,
    *,
    max_pixels: int,
    value_range: tuple[float, float] | None = None,
    use_channels: ChosenChannels | None = None,
    checked: InspectionCache,
) -> Inspection:
    """Reads all images and masks.

    Args:
        samples: samples to read.
        label_map: meaning of the values in the masks.
        max_pixels: images with more pixels are reported as problems.
        value_range: black and white of images with other values than 8 or 16 unsigned bits.
        use_channels: the channels of the images that are read, see `read_image`.
        checked: cache of earlier results.
    """
    reader = _Reader(label_map, _Limits(max_pixels, value_range, use_channels), checked)
    # Threads suffice: decoding, hashing and NumPy release the interpreter's lock, and starting processes
    # takes longer than reading a small data set.
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        stacks = sorted({path for s in samples if s.page is not None for path in (s.image, s.mask)})
        reader.stacks.update(zip(stacks, pool.map(hash_of, stacks), strict=True))
        results = []
        for result in in_order(pool, reader.read, samples):
            results.append(result)
            progress.report("checking images", len(results), len(samples))
    ranges = [r.needs_range for r in results if r.needs_range]
    if ranges:  # one range for all images, so that the same tissue has the same brightness in all of them
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        advice = f"give black and white of all images: --set 'value_range={as_range(low, high)}'"
        _advise([r for r in results if r.needs_range], advice)
    all_mask_stats = [r.mask_stats for r in results if r.mask_stats]
    undeclared = [
        r
        for r in results
        if r.undeclared and r.mask_stats and not mask_advice.is_blurred(r.mask_stats, label_map)
    ]
    if undeclared:
        ids = set(map(id, undeclared))
        masks = [(s.mask, s.page or 0) for s, r in zip(samples, results, strict=True) if id(r) in ids]
        shapes = _shapes(masks, max_pixels)
        by_values = mask_advice.advise_on_all(all_mask_stats, label_map, shapes)
        beside = {folder for mask, _ in masks for folder in _beside(mask)}
        found = find_class_map(sorted(beside, key=lambda folder: (-len(folder.parts), folder)))
        for_all = (found and mask_advice.advise_class_map(all_mask_stats, found)) or by_values
        if for_all:
            is_objects = for_all.startswith(mask_advice.EACH_AN_OBJECT)
            _advise(undeclared, for_all, "numbers of objects" if is_objects else None)
        else:  # each of them alone would get classes of its own
            _advise([r for r in undeclared if r.mask_stats and len(r.mask_stats.counts) == 1], _ONE_VALUE)
    return Inspection(
        [r.facts for r in results if r.facts],
        {s.name: r.problems for s, r in zip(samples, results, strict=True) if r.problems},
        all_mask_stats,
    )


def _beside(mask: Path) -> Sequence[Path]:
    """The folders that may hold a class map: up to the one of the data, which folders of splits lie in."""
    in_split = any(split_named(folder.name) for folder in mask.parents[:2])
    return mask.parents[: 3 if in_split else 2]


@dataclass(frozen=True)
class _Limits:
    """How images are read; see `read_image`."""

    max_pixels: int
    value_range: tuple[float, float] | None
    use_channels: ChosenChannels | None

    @property
    def key(self) -> str:
        """Prefix of an image's cache key: what is read of an image depends on range and channels."""
        chosen = f" channels {self.use_channels}" if self.use_channels else ""
        return f"image {list(self.value_range) if self.value_range else None}{chosen}"


@dataclass
class _Result:
    """Result for one sample: `facts`, or `problems` with their kind in `undeclared` and `needs_range`."""

    facts: SampleStats | None = None
    mask_stats: MaskStats | None = None
    problems: list[Problem] = field(default_factory=list)
    undeclared: bool = False
    needs_range: tuple[float, float] | None = None


def _advise(results: Sequence[_Result], advice: str, found: str | None = None) -> None:
    """Replaces the advice of problems, and what was found unless it is None."""
    for result in results:
        result.problems = [replace(p, advice=advice, found=found or p.found) for p in result.problems]


def _shapes(masks: Sequence[tuple[Path, int]], max_pixels: int) -> list[dict[int, Shape]]:
    """The shapes of the values in some of the masks, which were read before."""
    step = max(1, len(masks) // _MEASURED)
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        return list(
            pool.map(lambda mask: measure_file(mask[0], mask[1], max_pixels), masks[::step][:_MEASURED])
        )


class _Reader:
    """Reads samples; `stacks` holds the hashes of multi-page files whose pages are samples."""

    def __init__(
        self,
        label_map: LabelMap,
        limits: _Limits,
        checked: InspectionCache,
    ):
        self.stacks: dict[Path, str] = {}
        self._label_map, self._limits, self._checked = label_map, limits, checked

    def read(self, sample: Sample) -> _Result:
        result = _Result()
        image = self._attempt(sample.image, sample.page, self._image, self._limits.key, result)
        mask = self._attempt(sample.mask, sample.page, self._mask, "mask", result)
        if mask:
            result.mask_stats = MaskStats.of(mask)
        if not image or not mask or not result.mask_stats:
            return result
        if problem := _other_size(sample.mask, result.mask_stats, image):
            result.problems.append(problem)
            return result
        try:
            counts, ignored = count_classes(result.mask_stats, self._label_map)
        except raster.ImageError as error:
            result.problems.append(Problem(str(sample.mask), error.found, error.advice))
            result.undeclared = True
            return result
        result.facts = SampleStats(
            name=sample.name,
            class_pixels=counts,
            ignored=ignored,
            **image,
        )
        return result

    def _image(self, content: Path | bytes, page: int) -> dict[str, Any]:
        return _learn(content, page, self._limits)

    def _mask(self, content: Path | bytes, page: int) -> dict[str, Any]:
        return asdict(read_mask_stats(content, page=page, max_pixels=self._limits.max_pixels))

    def _attempt(
        self,
        path: Path,
        page: int | None,
        read: Callable[[Path | bytes, int], dict[str, Any]],
        kind: str,
        result: _Result,
    ) -> dict[str, Any] | None:
        """Reads a file, or takes its result from the cache; None and a problem if it cannot be read."""
        content: Path | bytes
        try:
            with one_at_a_time():
                if page is None and _is_large(path):
                    content, sha256 = path, hash_of(path)
                elif page is None:
                    content, sha256 = read_and_hash(path, read_file)
                else:
                    content, sha256 = path, f"{self.stacks[path]}:{page}"
                known: dict[str, Any] | None = self._checked.get(f"{kind} {sha256}")
                if known and known["height"] * known["width"] <= self._limits.max_pixels:
                    return known
                found = read(content, page or 0)
        except raster.ImageError as error:
            raise_passing(error)  # else --skip-bad would leave out an image that is good
            result.problems.append(Problem(str(path), error.found, error.advice))
            if isinstance(error, NeedsRange):
                result.needs_range = (error.low, error.high)
            return None
        except OSError as error:
            raise_passing(error)
            text = f"cannot be read ({error.strerror})"
            result.problems.append(Problem(str(path), text, "check the path and its permissions"))
            return None
        except Exception as error:  # one file must not hide the problems of the others
            text = f"cannot be read ({type(error).__name__}: {error})"
            advice = "convert it to PNG; if that fails too, report a bug"
            result.problems.append(Problem(str(path), text, advice))
            return None
        self._checked.put(f"{kind} {sha256}", found)
        return found


def content_of(
    sample: Sample,
    sha256: str,
    *,
    max_pixels: int,
    value_range: tuple[float, float] | None,
    use_channels: ChosenChannels | None,
    checked: InspectionCache,
) -> str:
    """`Image.content` of a sample, from the cache or by decoding the image.

    Args:
        sample: sample whose image is read.
        sha256: hash of the image file, followed by the page number for a page of a stack.
        max_pixels: larger images raise an error.
        value_range: black and white of images with other values than 8 or 16 unsigned bits.
        use_channels: the channels of the image that are read, see `read_image`.
        checked: cache of earlier results.

    Raises:
        ImageError: the image cannot be read.
    """
    limits = _Limits(max_pixels, value_range, use_channels)
    key = f"{limits.key} {sha256}"
    known = checked.get(key)
    if known is None:
        with one_at_a_time():
            known = _learn(sample.image, sample.page or 0, limits)
        checked.put(key, known)
    return str(known["content"])


def classes_in(
    sample: Sample, sha256: str, label_map: LabelMap, *, max_pixels: int, checked: InspectionCache
) -> frozenset[str]:
    """Names of the classes that a sample's mask holds, from the cache or by decoding the mask.

    Args:
        sample: sample whose mask is read.
        sha256: hash of the mask file, followed by the page number for a page of a stack.
        label_map: meaning of the values in the mask.
        max_pixels: larger masks raise an error.
        checked: cache of earlier results.

    Raises:
        ImageError: the mask cannot be read, or holds values of no class.
    """
    key = f"mask {sha256}"
    known = checked.get(key)
    if known is None:
        with one_at_a_time():
            known = asdict(read_mask_stats(sample.mask, page=sample.page or 0, max_pixels=max_pixels))
        checked.put(key, known)
    return _held(count_classes(MaskStats.of(known), label_map)[0])


def held_by(facts: Sequence[SampleStats]) -> dict[str, frozenset[str]]:
    """Names of the classes that each sample's mask holds, as `classes_in` finds them."""
    return {fact.name: _held(fact.class_pixels) for fact in facts}


def _held(class_pixels: Mapping[str, int]) -> frozenset[str]:
    return frozenset(name for name, count in class_pixels.items() if count)


def _learn(content: Path | bytes, page: int, limits: _Limits) -> dict[str, Any]:
    image = read_image(content, page=page, with_details=True, **asdict(limits))
    values = {f.name: getattr(image, f.name) for f in fields(image) if f.name != "data"}
    return {**values, "stored": len(image.data)}


def _other_size(mask: Path, mask_stats: MaskStats, image: Mapping[str, Any]) -> Problem | None:
    height, width = image["height"], image["width"]
    if (mask_stats.height, mask_stats.width) == (height, width):
        return None
    transposed = (mask_stats.width, mask_stats.height) == (height, width)
    found = f"mask of {mask_stats.width} x {mask_stats.height} for an image of {width} x {height} pixels"
    advice = "turn the mask by 90 degrees" if transposed else "export the mask at the size of the image"
    if transposed and image["turned"]:
        found += ", which its orientation (EXIF) turned"
        advice += ", or remove the orientation if the mask fits the image as it is stored"
    return Problem(str(mask), f"transposed: {found}" if transposed else found, advice)


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > LARGE_FILE
    except OSError:
        return False  # reading the file will raise the error
