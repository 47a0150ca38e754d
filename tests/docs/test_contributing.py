"""What the pages for contributors name exists; the files that other programs read fit the project."""

import re
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import CHECKOUT
from tests.docs.test_links import links
from tests.test_house import BELOW, ROOMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

yaml = pytest.importorskip("yaml")
PAGES = ("CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")
GUIDE = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# Made by commands; one of each room; or named as what there is not.
NO_FILES = {".venv", ".venv/bin/python", "faults.json", "results.jsonl", "settings.py", "utils.py"}
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def words_of_code(text: str) -> set[str]:
    """Every word in the blocks and spans of code of a page."""
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    parts = (*FENCE.findall(text), *spans)
    return {word.strip(",;()") for part in parts for word in re.split(r"[\s\"]+", part)}


def files_named(text: str) -> set[str]:
    looks_like_one = re.compile(
        r"[\w.-]+/[\w./-]*|[\w-]+\.(?:md|py|toml|lock|cff|json|jsonl)|\.venv|unet|pipeline"
    )
    return {word for word in words_of_code(text) if looks_like_one.fullmatch(word)} - NO_FILES


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page):
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    assert files_named(text)
    assert not [name for name in files_named(text) if not (CHECKOUT / name).exists()]
    assert not [link for link in links(CHECKOUT / page) if not (CHECKOUT / link.partition("#")[0]).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_each_target_of_make_that_a_page_names_exists(page):
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", (CHECKOUT / page).read_text("utf-8"), re.DOTALL))
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= targets


def test_the_table_of_rooms_is_that_of_the_rules():
    table = re.findall(r"^\| `([\w/.]+)` \| .* \| *(.*?) *\|$", GUIDE, re.MULTILINE)
    told = {name.removesuffix(".py"): {*re.findall(r"`(\w+)`", allowed)} for name, allowed in table}
    rules = {f"unet/{name}": allowed for name, allowed in ROOMS.items()}
    assert told == rules | {name: BELOW[name] for name in ("components", "pipeline", "serving", "deploy")}


def test_the_citation_is_of_this_version_and_of_the_paper():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    [paper] = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Ronneberger", "Fischer", "Brox"]
    assert paper["url"] == project["urls"]["Paper"]


def test_hosted_checks_run_what_every_machine_runs():
    jobs = yaml.safe_load((CHECKOUT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    [commands] = [[step["run"] for step in job["steps"] if "run" in step] for job in jobs.values()]
    assert commands == [".ci/run"]
    assert (CHECKOUT / ".ci/run").stat().st_mode & 0o100


def test_hooks_before_a_commit_are_the_tools_of_make_lint():
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    tools = {tuple(hook["entry"].split()[2:4]) for hook in hooks}
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/python"}
    assert tools == {("ruff", "check"), ("ruff", "format"), ("mypy",)}


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / ".github/ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.name
)
def test_forms_of_issues_are_complete(path: Path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert asked
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)
