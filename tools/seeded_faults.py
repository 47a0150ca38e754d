"""Seeds faults: small mistakes in the code, one at a time, to measure whether the tests detect them.

    python tools/seeded_faults.py list --json faults.json
    python tools/seeded_faults.py run --faults faults.json --results results.jsonl

A fault changes one token: an arithmetic operator, a comparison, a number, a boolean, `and` or `or`, an index.
It is applied to a temporary copy of the tracked files, never to the checkout. The tests of the changed file
run there: the test file at the mirrored place, then those that import the module, nearest first.

A fault is located by the text of its line and the name of the enclosing definition: so the same faults can be
tried on another commit with other paths, by `run --faults faults.json --commit OTHER`.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tokenize import NAME, OP, generate_tokens

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("unet", "components", "pipeline", "serving")
COUNT, SEED, FILES, SECONDS = 60, 2015, 8, 900
# (definition, text of a line) -> (path, its number from 0)
Index = dict[tuple[str, str], list[tuple[str, int]]]
CAUGHT, SURVIVED, TIMED_OUT, NOT_FOUND = "caught", "survived", "timed out", "not found"

# A token, and its replacement.
_OPERATORS = {"+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "//", "**": "*", "&": "|", "|": "&"}
_OPERATORS |= {"<<": ">>", ">>": "<<"} | {f"{old}=": f"{new}=" for old, new in _OPERATORS.items()}
_BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in", "not in": "in"}
_BOUNDS |= {"is": "is not", "is not": "is"}
_LOGIC = {"and": "or", "or": "and"}
# Calls with messages as arguments, and arguments without effects that tests should check.
_WORDS = {"print", "warn", "debug", "info", "warning", "error", "exception", "critical", "TypeVar", "cast"}
_COSMETIC = re.compile(
    "help|description|metavar|title|epilog|flush|exist_ok|parents|missing_ok|daemon|indent|strict|text|required"
    "|capture_output|ensure_ascii|stacklevel|expand|padding"
)
# An operator between paths, texts, lists or types fails at once when changed, whatever the tests check.
_NO_NUMBER = re.compile(
    r"""^[bf]*['"\[({]|path|folder|root|directory|file|checkout|results|problems|name|model$|\]$|^(None|str|int|float)$""",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One changed token, and the data that locate it."""

    kind: str  # operator, bound, number, boolean, and/or, off by one
    path: str  # the file of the fault
    definition: str  # the innermost enclosing function or class; empty at the top level of a module
    line: str  # text of the line, stripped
    column: int  # position of the token in that text
    before: str  # the original token
    after: str  # the replacement

    def __str__(self) -> str:
        return f"{self.path}: {self.definition}: {self.changed}  # {self.kind}: {self.before} -> {self.after}"

    @property
    def changed(self) -> str:
        """The text of the line with the fault."""
        return self.line[: self.column] + self.after + self.line[self.column + len(self.before) :]


def _parts(node: ast.AST) -> Iterable[ast.AST]:
    """Yields the parts of a node that affect behavior: no types, decorators, texts or error messages."""
    silent = isinstance(node, ast.If) and re.search("TYPE_CHECKING|__name__", ast.unparse(node.test))
    if silent or isinstance(node, ast.JoinedStr | ast.Raise):
        return []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
    if isinstance(node, ast.ClassDef):
        return node.body
    if isinstance(node, ast.AnnAssign):
        return filter(None, [node.value])
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).rpartition(".")[2]
        plain = node.args[:1] if called in ("isinstance", "issubclass") else node.args
        named = [word.value for word in node.keywords if not _COSMETIC.fullmatch(word.arg or "")]
        return [] if called in _WORDS else [node.func, *plain, *named]
    return ast.iter_child_nodes(node)


def _indices(node: ast.AST) -> Iterable[ast.AST]:
    """Yields the parts of a node with numbers that count: their faults are off by one."""
    if isinstance(node, ast.Subscript):
        return ast.walk(node.slice)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return [node.right]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        return node.args
    return node.comparators if isinstance(node, ast.Compare) else []


def _operators(node: ast.AST) -> list[tuple[str, dict[str, str], ast.expr, ast.expr]]:
    """Returns the operators of a node: kind, replacements, and the expressions on both sides."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        numbers = not any(_NO_NUMBER.search(ast.unparse(side)) for side in sides)
        return [("operator", _OPERATORS, *sides)] if numbers else []
    if isinstance(node, ast.Compare):
        return [("bound", _BOUNDS, *sides) for sides in pairwise([node.left, *node.comparators])]
    values = node.values if isinstance(node, ast.BoolOp) else []
    return [("and/or", _LOGIC, *sides) for sides in pairwise(values)]


def _other_value(value: object, is_index: bool) -> tuple[str, str] | None:
    """Returns the kind of fault of a constant, and the text of its replacement; None if there is none."""
    if isinstance(value, bool):
        return "boolean", repr(not value)
    if isinstance(value, int) and is_index:
        return "off by one", repr(value + 1)
    if isinstance(value, int | float):
        return "number", repr(value * 2 or 1)
    return None


def faults_in(path: str, source: str) -> list[Fault]:
    """Returns every possible fault of a module."""
    lines, names, faults = source.split("\n"), definitions(source), []
    tokens = [t for t in generate_tokens(io.StringIO(source).readline) if t.type in (OP, NAME)]
    starts, nodes = [token.start for token in tokens], list[ast.AST]([ast.parse(source)])
    for node in nodes:
        nodes += _parts(node)
    indices = {part for node in nodes for part in _indices(node)}

    def position(line: int | None, column: int | None) -> tuple[int, int]:
        return line or 0, len(lines[(line or 0) - 1].encode()[:column].decode())  # `ast` counts bytes

    def add(start: tuple[int, int], end: tuple[int, int], kind: str, after: str) -> None:
        line, name = lines[start[0] - 1], names[start[0] - 1]
        if start[0] == end[0]:
            column = start[1] - len(line) + len(line.lstrip())
            faults.append(Fault(kind, path, name, line.strip(), column, line[start[1] : end[1]], after))

    for node in nodes:
        if isinstance(node, ast.Constant) and (other := _other_value(node.value, node in indices)):
            start = position(node.lineno, node.col_offset)
            add(start, position(node.end_lineno, node.end_col_offset), *other)
        for kind, swaps, left, right in _operators(node):
            first = position(left.end_lineno, left.end_col_offset)
            last = position(right.lineno, right.col_offset)
            between = tokens[bisect_left(starts, first) : bisect_left(starts, last)]
            words = [token for token in between if token.string not in "()"]
            if after := swaps.get(" ".join(token.string for token in words)):
                add(words[0].start, words[-1].end, kind, after)
    return faults


def definitions(source: str) -> list[str]:
    """Returns the name of the innermost function or class around each line of a module."""
    names = [""] * len(source.split("\n"))
    for node in ast.walk(ast.parse(source)):  # outer definitions come first
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = range(node.lineno - 1, node.end_lineno or 0)
            names[inside.start : inside.stop] = [node.name] * len(inside)
    return names


def index(sources: dict[str, str]) -> Index:
    """Returns the places of each line."""
    found: Index = defaultdict(list)
    for path, source in sources.items():
        for number, (name, line) in enumerate(zip(definitions(source), source.split("\n"), strict=True)):
            found[name, line.strip()].append((path, number))
    return found


def place(fault: Fault, where: Index) -> tuple[str, int] | None:
    """Returns file and line (from 0) of a fault; None if the line is missing or ambiguous."""
    places = where.get((fault.definition, fault.line), [])
    if len(places) > 1:
        places = [found for found in places if found[0] == fault.path]
    return places[0] if len(places) == 1 else None


def room(path: str) -> str:
    """Returns the room of a file: the folder or module below its package."""
    return "/".join(Path(path).with_suffix("").parts[:2])


def choose(sources: dict[str, str], count: int, seed: int, also: Index | None = None) -> list[Fault]:
    """Chooses faults evenly over rooms and kinds; the same seed chooses the same faults.

    If possible, the lines of a room's faults are also in `also`, the index of another commit.
    """
    chance, where = random.Random(seed), index(sources)
    pools: dict[str, list[Fault]] = defaultdict(list)
    for path in sorted(sources):
        found = faults_in(path, sources[path])
        pools[room(path)] += [fault for fault in found if len(where[fault.definition, fault.line]) == 1]
    if also is not None:
        pools = {name: [f for f in pool if place(f, also)] or pool for name, pool in pools.items()}
    rooms = sorted((name for name in pools if pools[name]), key=lambda name: (-len(pools[name]), name))
    chosen, used = list[Fault](), Counter[str]()
    while len(chosen) < count and rooms:
        for name in rooms[: count - len(chosen)]:
            rarest = min(used[fault.kind] for fault in pools[name])
            fault = chance.choice([fault for fault in pools[name] if used[fault.kind] == rarest])
            chosen.append(fault)
            used[fault.kind] += 1
            pools[name] = [other for other in pools[name] if other.line != fault.line]
        rooms = [name for name in rooms if pools[name]]
    return chosen


def copy_files(folder: Path, commit: str | None) -> None:
    """Copies the tracked files of a commit, or of the checkout, into a folder."""
    if commit:
        pack = ["git", "archive", "--format=tar", commit]
    else:
        names = subprocess.check_output(["git", "ls-files", "-z"], cwd=CHECKOUT, text=True).split("\0")
        pack = ["tar", "-c", *(name for name in names if name and (CHECKOUT / name).exists())]
    subprocess.run(["tar", "-x"], cwd=folder, input=subprocess.check_output(pack, cwd=CHECKOUT), check=True)
    for environment in (
        ".venv", ".venv-serving", ".venv-airflow", ".venv-kubeflow", ".venv-clients", ".venv-mlflow",
    ):  # fmt: skip
        if (CHECKOUT / environment).exists():
            (folder / environment).symlink_to((CHECKOUT / environment).resolve())


def sources_of(folder: Path, tops: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Returns the text of each Python file below some folders of a copy."""
    paths = sorted(path for top in tops for path in (folder / top).rglob("*.py"))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tests_of(path: str, sources: dict[str, str], most: int) -> list[str]:
    """Returns at most `most` test files for a file, the nearest first; `sources` includes the tests."""
    importers = defaultdict[str, list[str]](list)
    for name, source in sources.items():
        for module in set(_imports(source)):
            importers[module].append(name)
    steps, waiting = {path: 0}, [path]
    for name in waiting:
        for other in importers[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")]:
            if other not in steps:
                steps[other] = steps[name] + 1
                waiting.append(other)
    mirrored = Path("tests", path).with_name(f"test_{Path(path).name}")
    folder = mirrored.parent.as_posix()
    tests = [name for name in sources if re.search(r"^tests/(.*/)?test_\w+\.py$", name)]
    ranks = {name: steps.get(name, 99) for name in tests if name in steps or name.startswith(f"{folder}/")}
    if mirrored.as_posix() in tests:
        ranks[mirrored.as_posix()] = 0
    return sorted(ranks, key=lambda name: (ranks[name], not name.startswith(f"{folder}/"), name))[:most]


class Trial:
    """A copy of the tracked files in which one fault after the other is tried.

    For each fault at most `most` test files run, for at most `seconds`; `markers` is pytest's option -m.
    """

    def __init__(self, folder: Path, *, most: int, seconds: float, markers: str | None):
        self.folder, self.most, self.seconds, self.markers = folder, most, seconds, markers
        self.sources = sources_of(folder, (*PACKAGES, "data", "benchmarks", "docs", "tests"))
        self.index = index({p: s for p, s in self.sources.items() if p.startswith(PACKAGES)})
        self._sound, self._broken = set[str](), set[str]()

    def try_fault(self, fault: Fault) -> dict[str, str]:
        """Tries a fault; returns its status, and the test that detected it."""
        if not (found := place(fault, self.index)):
            return {"status": NOT_FOUND}
        path, number = found
        tests = tests_of(path, self.sources, self.most)
        while runnable := [test for test in tests if test not in self._broken]:
            lines = self.sources[path].splitlines(keepends=True)
            lines[number] = lines[number].replace(fault.line, fault.changed)
            (self.folder / path).write_text("".join(lines), encoding="utf-8")
            try:
                code, said = self._pytest(["-x", *runnable])
            finally:
                (self.folder / path).write_text(self.sources[path], encoding="utf-8")
            if code is None:
                return {"status": TIMED_OUT, "in": path}
            if code in (0, 5):  # all passed, or none was collected
                break
            failed = re.search(r"^(?:FAILED|ERROR) (\S+?\.py(?:::[^\s\[]+)?)", said, re.MULTILINE)
            test = failed[1] if failed else runnable[0]
            if self._is_sound(test):
                return {"status": CAUGHT, "in": path, "by": test if failed else f"pytest ended with {code}"}
        return {"status": SURVIVED, "in": path, "tests": " ".join(tests)}

    def _is_sound(self, test: str) -> bool:
        """Whether a test passes without a fault; a failing test is never run again."""
        if test in self._broken:
            raise RuntimeError(f"{test} was left out and failed again")
        if test not in self._sound:
            code, _ = self._pytest([test] if "::" in test else ["--collect-only", test])
            (self._sound if code == 0 else self._broken).add(test)
            if code != 0:
                print(f"{test} fails without a fault, too: left out")
        return test in self._sound

    def _pytest(self, arguments: list[str]) -> tuple[int | None, str]:
        """Runs pytest in the copy; the exit code is None if it ran out of time."""
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", *arguments]
        words += [f"--deselect={test}" for test in self._broken if "::" in test]
        words += ["-m", self.markers] if self.markers else []
        # Compiled files of a fault must not remain: Python compares their time by the second.
        with subprocess.Popen(
            words, cwd=self.folder, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, start_new_session=True,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=self.seconds)
                return process.returncode, said
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def run(faults: list[Fault], results: Path, trial: Trial) -> None:
    """Tries each fault without a result for the same files, writes a line for each, and prints counts."""
    tree = hashlib.sha256(json.dumps(trial.sources, sort_keys=True).encode()).hexdigest()[:12]
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    done = {entry["fault"]: entry for entry in map(json.loads, lines) if entry["tree"] == tree}
    count: Counter[str] = Counter()
    for number, fault in enumerate(faults, 1):
        if not (entry := done.get(str(fault))):
            start = time.monotonic()
            entry = {"tree": tree, "fault": str(fault)} | trial.try_fault(fault)
            entry["seconds"] = f"{time.monotonic() - start:.1f}"
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        count[entry["status"]] += 1
        print(number, fault, "=>", entry["status"], entry.get("by", ""), flush=True)
    print(*(f"{number} {status}" for status, number in sorted(count.items())), sep=", ")
    print(f"{count[CAUGHT]} of {len(faults)} caught")


def main() -> None:
    """Parses the command line and runs a subcommand."""
    parser = argparse.ArgumentParser(description="Seeded faults: do the tests notice small mistakes?")
    parser.add_argument("command", choices=["list", "run"], help="show the faults, or try them")
    add = parser.add_argument
    add("--commit", help="of this commit instead of the checkout")
    add("--count", type=int, default=COUNT, help=f"how many faults ({COUNT})")
    add("--seed", type=int, default=SEED, help="another number chooses other faults")
    add("--also-in", metavar="COMMIT", help="prefer lines that this commit has, too")
    add("--json", type=Path, metavar="FILE", help="write the chosen faults to a file")
    add("--faults", type=Path, metavar="FILE", help="take those of a file instead")
    add("--results", type=Path, default=Path("seeded-faults.jsonl"), help="run: a line each, to go on from")
    add("--files", type=int, default=FILES, help=f"run: test files for each fault at most ({FILES})")
    add("--seconds", type=float, default=SECONDS, help=f"run: time for each fault ({SECONDS})")
    add("--markers", help="run: choose tests by this expression, as pytest's -m")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seeded-faults-") as name, tempfile.TemporaryDirectory() as other:
        folder, also = Path(name), None
        copy_files(folder, options.commit)
        if options.also_in:
            copy_files(Path(other), options.also_in)
            also = index(sources_of(Path(other)))
        entries = json.loads(options.faults.read_text()) if options.faults else []
        chosen = [] if entries else choose(sources_of(folder), options.count, options.seed, also)
        faults = chosen or [Fault(**entry) for entry in entries]
        if options.json:
            options.json.write_text(json.dumps([*map(dataclasses.asdict, faults)], indent=1) + "\n")
        if options.command == "run":
            trial = Trial(folder, most=options.files, seconds=options.seconds, markers=options.markers)
            return run(faults, options.results, trial)
        print(*faults, sep="\n")
        print(f"{len(faults)} faults in {len({room(fault.path) for fault in faults})} rooms")
        if also is not None:
            print(f"{sum(bool(place(fault, also)) for fault in faults)} of them also in {options.also_in}")


if __name__ == "__main__":
    main()
