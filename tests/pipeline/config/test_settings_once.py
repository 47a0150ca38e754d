"""Each setting is declared once, in the section where it acts, and a mistake in one is told at once."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from pipeline.config.settings import PipelineConfig

CHECKOUT = Path(__file__).parents[3]
# Names that mean something else there: what was found in images or done in a run, not what is to be done.
FOUND = {
    "unet/evaluation/results.py ImageRow",
    "unet/evaluation/results.py Verdict",
    "unet/dataset/inspection.py SampleStats",
    "unet/dataset/sample.py Sample",
    "unet/evaluation/gate.py ImageScores",
    "unet/images/reader.py Image",
    "unet/inference/inputs.py InputImage",
    "unet/images/raster.py Raster",
    "unet/training/search.py Trial",
    "unet/masks/values.py MaskStats",
    "pipeline/terminal/run_view.py Step",
    "pipeline/check/findings.py Report",
    "pipeline/check/findings.py DataSummary",
    "pipeline/history/summary.py RunSummary",
    "pipeline/publishing/mlflow_answers.py RunThere",
}
# Objects that settings are turned into, and that other callers make without any; and the names that a search
# may choose values for, whose bounds are those of the settings.
MADE = {
    "unet/masks/labels.py LabelMap",
    "unet/tiling.py Geometry",
    "unet/dataset/inspection.py _Limits",
    "unet/training/search_settings.py TuneOver",
}


def declarations() -> dict[str, list[str]]:
    """The classes of the packages that annotate a setting's name as a field."""
    found = defaultdict(list)
    packages = ("components", "pipeline", "unet")
    for path in sorted(path for package in packages for path in (CHECKOUT / package).rglob("*.py")):
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
    twice = {name: [p for p in places if p not in FOUND | MADE] for name, places in found.items()}
    assert {name: places for name, places in twice.items() if len(places) != 1} == {}


def test_each_exception_is_needed():
    assert {place for places in declarations().values() for place in places} >= FOUND | MADE


def test_a_setting_that_does_not_exist_is_refused_before_anything_heavy_is_imported():
    code = """
import sys
from pipeline.config import profile
try:
    profile.load("default", {"stepz": 7})
except profile.ConfigError as error:
    assert "did you mean 'steps'?" in str(error)
heavy = "tensorflow", "keras", "tifffile", "imagecodecs", "PIL", "scipy", "numpy"
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
