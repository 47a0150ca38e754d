"""Which version is in service, and which versions were withdrawn, by the record in the serving folder."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from pipeline.history.executions import Push
from pipeline.root import Root
from unet.registry.model_card import read_card
from unet.registry.versions import newest_version, withdrawn_versions


@dataclasses.dataclass(frozen=True)
class Service:
    """The versions in the serving folder of a root.

    Attributes:
        newest: number of the version in service, as text; empty without any.
        original: number of the version that a run pushed with that model; another one than `newest` after a
            rollback, which copies an older version under a new number.
        withdrawn: numbers of the versions whose models a rollback withdrew.
    """

    newest: str
    original: str
    withdrawn: frozenset[str]

    def holds(self, version: str) -> bool:
        """Whether the model in service is that of a version."""
        return bool(version) and version in (self.newest, self.original)


def service_of(root: Root, pushes: Sequence[Push]) -> Service:
    """Reads what is in service, and what was withdrawn; changes no file.

    Args:
        root: root folder of the pipeline.
        pushes: all versions that were deployed; their marks count where the serving folder says nothing.
    """
    told = {push.version for push in pushes if push.withdrawn}
    with contextlib.suppress(OSError):  # a version that is being deleted
        found = withdrawn_versions(root.serving)
        told = {v for v in told if int(v) not in found} | {str(v) for v, bad in found.items() if bad}
    newest = newest_version(root.serving)
    if newest is None:
        return Service("", "", frozenset(told))
    original, seen = newest, {newest}
    with contextlib.suppress(OSError):  # a card that cannot be read now
        while isinstance(before := read_card(root.serving / str(original)).get("rolled_back_to"), int):
            if before in seen:
                break
            seen.add(original := before)
    return Service(str(newest), str(original), frozenset(told))
