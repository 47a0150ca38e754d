"""Each setting is declared once, in the section where it acts, and a mistake in one is told at once."""

import ast
from collections import defaultdict
from pathlib import Path

from pipeline.config.settings import PipelineConfig

CHECKOUT = Path(__file__).parents[3]
# Names that mean something else there: what images, masks and tiles were found to be, not what is to be done.
OTHERS = {
    "unet/tiling.py Geometry",
}
# A plain class declares settings where it is a section, a record of fields, or a typed dictionary.
FIELDS = {"Section", "NamedTuple", "TypedDict", "BaseModel"}


def declarations() -> dict[str, list[str]]:
    """The classes of `components` and `pipeline` that annotate a setting's name as a field."""
    found = defaultdict(list)
    for path in sorted([*(CHECKOUT / "components").rglob("*.py"), *(CHECKOUT / "pipeline").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                place = f"{path.relative_to(CHECKOUT)} {node.name}"
                for line in node.body:
                    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                        found[line.target.id].append(place)
    return {name: places for name, places in found.items() if name in PipelineConfig.model_fields}


def test_each_setting_is_declared_in_one_class():
    found = declarations()
    assert found.keys() == PipelineConfig.model_fields.keys()
    twice = {name: [p for p in places if p not in OTHERS] for name, places in found.items()}
    assert {name: places for name, places in twice.items() if len(places) != 1} == {}


def test_each_exception_is_one():
    places = {place for places in declarations().values() for place in places}
    assert OTHERS <= places
