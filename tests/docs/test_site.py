"""The site builds without a warning, holds what it is to hold, and takes nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generators import commands, docstrings, settings
from pipeline.cli import parser
from pipeline.config.profile import profile_names
from pipeline.config.settings import PipelineConfig
from tests.docs.blocks import CHECKOUT, DOCS


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; a warning, such as a link that leads nowhere, fails the build."""
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(folder)]
    done = subprocess.run([sys.executable, *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def read(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


def test_nothing_of_a_page_is_fetched_from_elsewhere(site):
    fetched = re.compile(
        r'(?:<(?:script|img|iframe)[^>]*src|<link(?![^>]*canonical)[^>]*href)="(?:https?:)?//'
    )
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    assert [page.name for page in pages if fetched.search(page.read_text(encoding="utf-8"))] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not any(re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style) for style in styles)


def test_each_setting_has_its_section_type_and_meaning(site):
    assert [name for names in settings.sections().values() for name in names] == [
        *PipelineConfig.model_fields
    ]
    page = read(site, "reference/settings")
    for heading, names in settings.sections().items():
        assert names, heading
        for name in names:
            assert f">{name}</span>" in page
    assert 'id="training"' in page


def test_each_profile_and_command_has_a_section(site):
    for name in profile_names():
        assert f'id="{name}"' in read(site, "reference/profiles")
    known = [name for name, _, _ in commands.subcommands(parser())]
    told = re.findall(r"^ {4}(\w+)", parser().format_help(), re.MULTILINE)  # what --help lists
    assert told
    assert {*told, "runs show", "runs export", "compile kubeflow", "export onnx"} == {*known}
    for name in known:
        assert f'id="{name.replace(" ", "-")}"' in read(site, "reference/commands")


@pytest.mark.parametrize("package", docstrings.packages())
def test_each_package_has_a_page_with_its_modules(site, package):
    page = read(site, f"reference/code/{package}")
    modules = docstrings.modules(package)
    assert modules
    for module in modules:
        assert f'id="{docstrings.anchor(module)}"' in page


def test_docstrings_come_with_signatures_and_sections(site):
    page = read(site, "reference/code/unet") + read(site, "reference/code/unet.metrics")
    text = re.sub(r"<[^>]+>", "", page)
    assert "nearest_valid_size(" in text
    assert "pixel counts, shape [classes, classes], row = ground truth, column = prediction." in text


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "whole number"),
        (float | None, "number or nothing"),
        (tuple[float, float], "two of: number"),
        (dict[str, int | str], "table: name = whole number or text"),
    ],
)
def test_types_in_words(annotation, words):
    assert settings.type_in_words(annotation) == words
