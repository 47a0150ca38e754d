"""The splits of earlier runs, remembered by image, by group and by name.

An image is known by its pixels, so that neither another grouping, nor another name, format or folder lets a
training image become a test image. Groups and names are for what the pixels cannot tell: a further image of
a known group, and an image that was edited.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from unet.dataset.sample import BLOCK_PREFIX, SPLITS, Sample
from unet.errors import BadInput
from unet.files import atomic_write


@dataclass(frozen=True)
class Memory:
    """The split of all that earlier runs have seen.

    Attributes:
        images: split by `Image.content`.
        groups: split by group; blocks, whose numbers change as slices come, and images by themselves are not
            included.
        names: split by the name of the sample.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def of_place(self, sample: Sample) -> str | None:
        """The split of a sample by its group, or else by its name; None if both are new."""
        return (self.groups.get(sample.group) if _is_lasting(sample) else None) or self.names.get(sample.name)

    def extended(
        self,
        samples: Sequence[Sample],
        contents: Mapping[str, str],
        assignment: Mapping[str, str | None],
        kept: Mapping[str, str | None],
    ) -> Memory:
        """The memory after a run.

        Args:
            samples: all samples.
            contents: `Image.content` of each sample, by name.
            assignment: split of each sample by name, as `splits.assign` returned it.
            kept: the same without duplicates, whose group and name keep their split all the same: without
                it, a later run would deal them anew.
        """
        assigned = [(sample, split) for sample in samples if (split := assignment[sample.name])]
        images = {contents[s.name]: split for s in samples if (split := kept[s.name])}
        groups = {sample.group: split for sample, split in assigned if _is_lasting(sample)}
        names = {sample.name: split for sample, split in assigned}
        return Memory({**self.images, **images}, {**self.groups, **groups}, {**self.names, **names})


def _is_lasting(sample: Sample) -> bool:
    return sample.group != sample.name and not sample.group.startswith(BLOCK_PREFIX)


def load(path: Path) -> Memory:
    """Reads the remembered splits; empty without a file.

    Raises:
        BadInput: the file is damaged, of an earlier version, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Memory()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (RecursionError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(path, "not a JSON object")
    if content and all(split in SPLITS for split in content.values()):
        raise BadInput(
            f"{path}: an earlier version wrote it, which did not remember images; give another --root, or"
            " delete it to split anew, after which models are no longer compared on the same test images"
        )
    kinds = [kind.name for kind in fields(Memory)]
    if sorted(content) != sorted(kinds) or not all(isinstance(part, dict) for part in content.values()):
        raise _damaged(path, f"{', '.join(kinds)} expected")
    for kind, part in content.items():
        for key, split in part.items():
            if split not in SPLITS:
                raise _damaged(path, f"{kind}: {key!r} is in {split!r}")
    return Memory(**content)


def _damaged(path: Path, detail: str) -> BadInput:
    return BadInput(
        f"{path}: the remembered splits are damaged ({detail}); restore the file, or delete it to split anew,"
        " after which models are no longer compared on the same test images"
    )


def save(path: Path, memory: Memory) -> None:
    """Writes the remembered splits atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        json.dump(asdict(memory), file, indent=1, sort_keys=True)
