"""Every command of the documentation, as a reader types it: in a copy of the checkout, page after page.

What differs from a reader's machine is the budget: the copy has the small ones of the bundled images, its
defaults and the commands that name a number of steps ask for a few, and for a gate that so short a training
passes; and the number of a version that the pages name is that of one that exists. Pages that need nothing of
each other run side by side. Blocks that cannot run here say why; `tests/docs/test_blocks.py` sees to it.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import csv
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.blocks import CHECKOUT, README, Block, blocks, pages

pytestmark = pytest.mark.docs

BUDGET = {
    "steps": "20",
    "validate_every": "20",
    "tune_trials": "1",
    "tune_steps": "5",
    "patch_size": "316",
    "base_filters": "4",
    "thresholds": '{"pixel_error": 0.95}',
    "max_drop": "1",
}
LARGEST = 256 * 320  # pixels
# What these pages make, none of the others needs: each list runs beside the others, README after all of them.
BESIDE = [
    [
        "start/first-run.md",
        "how-to/compare.md",
        "how-to/runs.md",
        "reference/report.md",
        "how-to/serve.md",
        "how-to/roll-back.md",
        "reference/exported-model.md",
    ],
    ["how-to/your-own-data.md"],
]
_NOT_OF_THE_READER = ("TF_", "XDG_", "VIRTUAL_ENV", "MAKE", "MFLAGS", "ARGS")
VERSION = "1795557723"  # the pages' example
PATIENCE = 3000  # seconds for a block: one cross-validates, on a busy machine
PAGES = [page for page in pages() if any(b.language in ("sh", "python") for b in blocks(page))]


def _not_of_the_checkout(folder: str, names: list[str]) -> set[str]:
    """What lies in a checkout that was worked in, and is none of its files."""
    patterns = ["__pycache__", "*.pyc"]
    if Path(folder) == CHECKOUT:
        patterns += [
            ".git",
            ".venv*",
            ".setup",
            ".*_cache",
            ".hypothesis",
            "runs*",
            "build",
            "dist",
            "*.egg-info",
        ]
    return {name for pattern in patterns for name in fnmatch.filter(names, pattern)}


def _of_the_budget(text: str) -> str:
    """A block with the few steps of the budget, and without thresholds that these do not reach."""
    text = re.sub(r"--set steps=\d+", f"--set steps={BUDGET['steps']}", text)
    return re.sub(r" --set 'thresholds=\{foreground_iou=0[\d.]*\}'", "", text)


class Reader:
    """Somebody with a fresh checkout who does what the pages say."""

    def __init__(self, folder: Path):
        self.home, self.checkout = folder / "home", folder / "unet"
        shutil.copytree(CHECKOUT, self.checkout, ignore=_not_of_the_checkout)
        self.home.mkdir()
        (self.checkout / ".venv").symlink_to(sys.prefix)
        for environment in (".venv-serving", ".venv-airflow", ".venv-kubeflow"):
            if (CHECKOUT / environment).exists():
                (self.checkout / environment).symlink_to(CHECKOUT / environment)
        self._keep_few()
        sections = [
            *self.checkout.glob("unet/**/*settings.py"),
            self.checkout / "pipeline/config/settings.py",
        ]
        for name, value in BUDGET.items():
            changed = 0
            for section in sections:
                text = section.read_text(encoding="utf-8")
                text, count = re.subn(rf"(\n    {name}: [^=]+ = Field\(\s*)[^,]+", rf"\g<1>{value}", text)
                section.write_text(text, encoding="utf-8")
                changed += count
            assert changed == 1, name
        self.environment = {
            # What `make test-all ARGS=...` was given is not for the reader's make.
            **{k: v for k, v in os.environ.items() if not k.startswith(_NOT_OF_THE_READER)},
            "HOME": str(self.home),
            "PATH": f"{self.checkout / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
            "TERM": "dumb",
            "TF_NUM_INTRAOP_THREADS": "1",  # several pages are read at once
        }

    def _keep_few(self) -> None:
        """Removes the large ones of the bundled images, and every second one of each split."""
        table = self.checkout / "data/nuclei/manifest.csv"
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        kept, seen = [], collections.Counter[str]()
        for row in rows:
            image = table.parent / row["image"]
            with Image.open(image) as opened:
                small = opened.width * opened.height <= LARGEST
            seen[row["split"]] += small
            if small and seen[row["split"]] % 2:
                kept.append(row)
            else:
                image.unlink()
                (table.parent / row["mask"]).unlink()
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(kept)

    def read(self, page: Path) -> list[str]:
        """Does what a page says; returns what went wrong."""
        server = None
        with contextlib.ExitStack() as stack:
            for block in blocks(page):
                if block.language not in ("sh", "python") or block.untested:
                    continue
                if port := block.number("starts"):
                    if server:
                        server.close()
                    server = stack.enter_context(contextlib.ExitStack())
                    server.enter_context(self._server(block, port))
                    continue
                done = self._run(block)
                if done.returncode != block.number("exits"):
                    return [f"{block} ended with {done.returncode}:\n{block.text}\n{done.stdout[-6000:]}"]
        return []

    def _run(self, block: Block) -> subprocess.CompletedProcess[str]:
        environment = block.how.removeprefix("of ") if block.how.startswith("of ") else ".venv"
        shell = ["bash", "-e", "-c"] if block.language == "sh" else [f"{environment}/bin/python", "-c"]
        return subprocess.run(
            [*shell, self._real_version(_of_the_budget(block.text))],
            cwd=self.checkout, env=self.environment, text=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def _real_version(self, text: str) -> str:
        """Puts a version that exists in the place of the example: the newest of the folder that is named."""

        def versions(folder: str) -> list[str]:
            return sorted((p.name for p in (self.checkout / folder).glob("[0-9]*")), key=int)

        text = re.sub(rf"([\w./-]+/){VERSION}", lambda found: found[1] + versions(found[1])[-1], text)
        return text if VERSION not in text else text.replace(VERSION, versions("runs/serving/unet")[0])

    @contextlib.contextmanager
    def _server(self, block: Block, port: int) -> Iterator[None]:
        log = (self.home / f"server-{port}.log").open("w+b")
        process = subprocess.Popen(
            ["bash", "-e", "-c", block.text],
            cwd=self.checkout, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            ready = f"http://127.0.0.1:{port}/v2/health/ready"
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=5):
                    break
                log.seek(0)
                assert process.poll() is None, f"{block} ended:\n{log.read().decode()}"
                assert time.monotonic() < deadline, f"{block} does not answer on port {port}"
                time.sleep(0.2)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
            log.close()


@pytest.fixture(scope="module")
def went_wrong(tmp_path_factory) -> Iterator[Mapping[Path, concurrent.futures.Future[list[str]]]]:
    """What went wrong on each page, when its turn has come."""
    outcomes = {page: concurrent.futures.Future[list[str]]() for page in PAGES}

    def chain(listed: list[Path], after: Sequence[concurrent.futures.Future[None]] = ()) -> None:
        concurrent.futures.wait(after)
        for page in listed:
            try:
                outcomes[page].set_result(reader.read(page))
            except BaseException as error:
                outcomes[page].set_exception(error)

    reader = Reader(tmp_path_factory.mktemp("reader"))
    lists = [[CHECKOUT / "docs" / name for name in names] for names in BESIDE]
    rest = [page for page in PAGES if page != README and not any(page in listed for listed in lists)]
    with concurrent.futures.ThreadPoolExecutor(len(lists) + 2) as threads:
        running = [threads.submit(chain, listed) for listed in (rest, *lists)]
        threads.submit(chain, [README], running)
        yield outcomes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_commands_of_a_page(went_wrong, page):
    assert went_wrong[page].result() == []
