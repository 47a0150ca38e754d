import re

import pytest

from tests.docs.blocks import CHECKOUT, Block, blocks, pages

ALL = [block for page in pages() for block in blocks(page)]
HOW = {
    "sh": r"|exits [1-9]\d*|starts \d+|no-test: .+",
    "python": r"|of \.venv[\w-]*|no-test: .+",
    "sql": "",
    "text": "",
    "toml": "",
    "{toctree}": "",
}


def test_there_are_commands_in_every_part():
    parts = {block.page.relative_to(CHECKOUT).parts[1:2] for block in ALL if block.language == "sh"}
    assert {("start",), ("how-to",), ("reference",)} <= parts


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_says_what_it_is(block: Block):
    assert block.language in HOW, f"{block}: write ```sh, ```python, ```sql, ```text or ```toml"
    assert re.fullmatch(HOW[block.language], block.how), f"{block}: see tests/docs/blocks.py"


def test_the_models_that_a_command_takes_come_from_a_root_of_a_command_before_it():
    made: set[str] = set()
    unknown = []
    for block in ALL:
        if block.language != "sh" or block.untested:
            continue
        made |= {folder.rstrip("/") for folder in re.findall(r"--(?:root|out) ([\w./-]+)", block.text)}
        unknown += [
            f"{block}: {model}"
            for model in re.findall(r"--model ([\w-]+/[\w./-]*)", block.text)
            if not any(f"{model}/".startswith(f"{folder}/") for folder in made)
        ]
    assert unknown == []
