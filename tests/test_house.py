"""The rules of the house: who may import whom, where names come from, and what loads no TensorFlow."""

import ast
import functools
import graphlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "components", "unet", "serving", "deploy")
# Each imports those to the right of it, never back.
BELOW = {
    "run_pipeline": {"pipeline"},
    "unet_pipeline": {"pipeline", "unet"},  # what people import: a module of its own, with the package's name
    "pipeline": {"components", "unet"},
    "components": {"unet"},
    "unet": set(),
    "serving": set(),
    "deploy": {"pipeline"},
}
# The environments of Airflow and kfp have no TensorFlow, and not all that the rest of the pipeline imports.
DEPLOY_MAY_IMPORT = {"pipeline.process.exit_codes", "pipeline.root", "pipeline.stages"}
# The nodes of the graph load TFX: check, predict, runs, report and average must not.
MAY_IMPORT_COMPONENTS = {
    "pipeline.graph", "pipeline.history.promotion", "pipeline.history.withdrawal", "pipeline.reuse.baseline",
}  # fmt: skip
NOT_IN_UNET = {
    "apache_beam", "ml_metadata", "tensorflow_data_validation", "tensorflow_model_analysis",
    "tensorflow_transform", "tfx", "tfx_bsl",
}  # fmt: skip
GROUND = {"errors", "files", "fingerprint", "progress", "settings"}  # free to all rooms of unet
ROOMS = {
    "images": set(),
    "masks": {"images"},
    "dataset": {"images", "masks"},
    "tiling": set(),
    "preprocessing": {"images"},
    "network": {"tiling"},
    "metrics": {"masks"},
    "evaluation": {"images", "metrics"},
    "registry": set(),
    "export": {"images", "masks", "network", "preprocessing", "registry", "tiling"},
    "inference": {"images", "masks", "preprocessing", "registry", "tiling"},
    "training": {
        "export",
        "images",
        "masks",
        "metrics",
        "network",
        "preprocessing",
        "tiling",
    },
}
WITHOUT_TENSORFLOW = (
    "unet_pipeline",
    "unet.images",
    "unet.masks",
    "unet.dataset",
    "unet.metrics",
    "unet.evaluation",
    "unet.registry",
    "unet.tiling",
    *(f"unet.{module}" for module in sorted(GROUND)),
    "pipeline.check",
    "pipeline.cli",
    "pipeline.config",
    "pipeline.history",
    "pipeline.metadata",
    "pipeline.prediction",
    "pipeline.process",
    "pipeline.publishing",
    "pipeline.report",
    "pipeline.stages",
    "pipeline.terminal",
    "pipeline.reuse.unchanged",
)
MOST_ROOMS, MOST_LINES = 17, 400
MIRRORED = (
    "unet",
    "components",
    "pipeline",
    "serving",
    "deploy",
)  # packages each of whose files that decides something has its own tests
WITHOUT_TESTS: dict[str, str] = {}  # file -> why it has none
_BOUNDS = {"ge", "gt", "le", "lt"}  # of settings
_ARITHMETIC = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult, ast.LShift, ast.RShift,
)  # fmt: skip


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the packages, by its dotted name."""
    found = {name: CHECKOUT / f"{name}.py" for name in ("run_pipeline", "unet_pipeline")}
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def syntax(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(module: str) -> list[tuple[str, str]]:
    """What a module imports anywhere in it: (module, name), the name empty for `import module`."""
    found = []
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def of_ours(module: str) -> set[str]:
    """The modules of this project that a module imports."""
    found = set()
    for source, name in imports(module):
        inner = f"{source}.{name}"
        found |= {inner if inner in modules() else source} & modules().keys()
    return found


def defined(module: str) -> set[str]:
    """The names that a module itself gives a value at its top level."""
    names: set[str] = set()
    for top in syntax(module).body:
        for node in ast.walk(top) if isinstance(top, ast.If | ast.Try) else (top,):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)}
    return names


def room(module: str) -> str:
    """The room of a module of unet."""
    return module.split(".")[1] if "." in module else ""


def decides(module: str) -> bool:
    """Whether a module bounds a setting or, in a function, branches, compares, computes or raises."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = [
        part for node in ast.walk(syntax(module)) if isinstance(node, functions) for part in ast.walk(node)
    ]
    return any(
        isinstance(part, ast.If | ast.IfExp | ast.Compare | ast.Raise)
        or (isinstance(part, ast.BinOp | ast.AugAssign) and isinstance(part.op, _ARITHMETIC))
        for part in inside
    ) or any(isinstance(node, ast.keyword) and node.arg in _BOUNDS for node in ast.walk(syntax(module)))


def test_imports_go_one_way_through_the_packages():
    wrong = [
        f"{module} -> {other}"
        for module in modules()
        for other in of_ours(module)
        for here, there in [(module.split(".")[0], other.split(".")[0])]
        if here != there and there not in BELOW[here]
    ]
    assert not wrong


def test_the_nodes_of_the_graph_are_imported_by_the_graph_alone():
    importers = {
        m
        for m in modules()
        if not m.startswith("components")
        for o in of_ours(m)
        if o.startswith("components")
    }
    assert importers <= MAY_IMPORT_COMPONENTS


def test_schedulers_read_of_the_pipeline_only_what_needs_the_standard_library():
    used = {
        other
        for module in modules()
        if module.startswith("deploy")
        for other in of_ours(module)
        if not other.startswith("deploy")
    }
    assert used == DEPLOY_MAY_IMPORT
    # Without site-packages, any other import fails.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import {', '.join(sorted(used))}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_library_knows_no_tfx():
    wrong = [f"{m} -> {source}" for m in modules() if m.startswith("unet")
             for source, _ in imports(m) if source.split(".")[0] in NOT_IN_UNET]  # fmt: skip
    assert not wrong


def test_rooms_of_the_library_import_only_the_rooms_before_them():
    wrong = [
        f"{module} -> {other}"
        for module in modules()
        if module.startswith("unet.") and room(module) not in GROUND
        for other in of_ours(module)
        if room(other) not in {room(module), *GROUND} | ROOMS[room(module)]
    ]
    assert not wrong


def test_the_ground_of_the_library_needs_no_room():
    ground = [module for module in modules() if module.startswith("unet.") and room(module) in GROUND]
    wrong = [
        f"{module} -> {other}" for module in ground for other in of_ours(module) if room(other) not in GROUND
    ]
    assert not wrong


def test_a_name_is_imported_from_where_it_is_defined():
    wrong = [
        f"{module}: from {source} import {name}"
        for module in modules()
        for source, name in imports(module)
        if source in modules()
        and name
        and f"{source}.{name}" not in modules()
        and name not in defined(source)
    ]
    assert not wrong
    assert not [module for module in modules() if "__all__" in defined(module)]


def test_no_modules_import_each_other():
    try:
        order = tuple(
            graphlib.TopologicalSorter({module: of_ours(module) for module in modules()}).static_order()
        )
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
    assert len(order) == len(modules())


def test_folders_and_files_stay_small_enough_to_be_seen_at_once():
    rooms = defaultdict(set)
    for module in modules():
        parent, _, name = module.rpartition(".")
        rooms[parent].add(name)
    assert {
        folder: len(inside) for folder, inside in rooms.items() if folder and len(inside) > MOST_ROOMS
    } == {}
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize("package", MIRRORED)
def test_each_file_that_decides_something_has_its_tests_at_the_mirrored_place(package):
    missing = set()
    for module, path in modules().items():
        source = path.relative_to(CHECKOUT)
        if source.parts[0] == package and decides(module):
            tests = CHECKOUT / "tests" / source.with_name(f"test_{source.name}")
            if not tests.is_file() or "def test_" not in tests.read_text(encoding="utf-8"):
                missing.add(str(source))
    assert missing == {name for name in WITHOUT_TESTS if name.startswith(f"{package}/")}


def test_what_answers_at_once_loads_no_tensorflow():
    names = [m for m in modules() if any(f"{m}.".startswith(f"{free}.") for free in WITHOUT_TENSORFLOW)]
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert {"pydantic", "unet"} <= loaded
    assert not loaded & {"tensorflow", "keras", "keras_tuner", *NOT_IN_UNET - {"ml_metadata"}}
