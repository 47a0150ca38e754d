"""Roots whose last run left its answer, with the data of that run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.synthetic import write_cells
from pipeline.config.settings import PipelineConfig
from pipeline.history import summary
from pipeline.reuse import unchanged
from pipeline.root import Root
from tests.pipeline.recorded_runs import RecordedRuns
from tests.pipeline.retention.nights import night, version_of

OPTIONS = {"skip-bad": False, "rebaseline": False}


@dataclass
class Place:
    """A root whose last run left its answer, and the data of that run."""

    recorded: RecordedRuns
    data: Path
    config: PipelineConfig

    @property
    def root(self) -> Root:
        return self.recorded.root

    def answer(self, **settings: object) -> unchanged.Answer | None:
        config = PipelineConfig.model_validate({**self.config.model_dump(), **settings})
        return unchanged.answer(config, self.root, OPTIONS)

    def complete(
        self, number: int, while_it_runs: Callable[[], object] = lambda: None, **more: object
    ) -> str:
        """Does what a run does around its components, in the order of a run."""
        began = unchanged.begin(self.config, self.root, OPTIONS)
        unchanged.forget(self.root)
        run_id = night(self.recorded, number, **more)  # type: ignore[arg-type]
        self.root.splits.write_text('{"a": "train"}')
        while_it_runs()
        summary.write(self.root.path, run_id)
        (self.root.run(run_id) / "report.html").write_text("a page")
        unchanged.remember(self.config, self.root, OPTIONS, run_id, began)
        return run_id

    def output(self, name: str) -> Path:
        """A file of the newest output of this name."""
        folder = max(self.root.artifacts.glob(f"*/{name}/*"), key=lambda path: int(path.name))
        return next(path for path in sorted(folder.rglob("*")) if path.is_file())

    def version(self, number: int) -> Path:
        return self.root.serving / str(version_of(number))

    def mask(self) -> Path:
        return min((self.data / "masks").iterdir())


def make_place(recorded: RecordedRuns, folder: Path) -> Place:
    """Makes data, and two runs that pushed: the answer of the second one stands."""
    write_cells(folder / "data", 4, (64, 64), seed=1)
    (folder / "service").mkdir()
    (folder / "service" / "new.png").write_bytes(b"image")
    config = PipelineConfig(data=folder / "data", serving_data=folder / "service", steps=30)
    made = Place(recorded, folder / "data", config)
    night(recorded, 1)
    made.complete(2)
    return made


def other_bytes(path: Path) -> None:
    """Changes a byte of a file, neither its size nor the time of its last modification."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns
