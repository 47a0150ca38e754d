"""What large requests took is given back."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from serving import memory


class Cycle:
    """Something that only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_unreachable_is_collected_soon_after_and_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "SECONDS", 0.05)

    async def ask() -> list[bool]:
        releaser, found = memory.Releaser(), []
        for _ in range(2):
            cycle = weakref.ref(Cycle())
            releaser.soon()
            releaser.soon()
            found.append(cycle() is None)
            for _ in range(600):  # a process of much memory collects for seconds
                if cycle() is None:
                    break
                await asyncio.sleep(0.1)
            found.append(cycle() is None)
        return found

    gc.disable()
    try:
        assert asyncio.run(ask()) == [False, True, False, True]
    finally:
        gc.enable()
