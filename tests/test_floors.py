"""Nothing imports upwards: the floors of docs/ARCHITECTURE.md, checked over every import statement."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the ground up. A module may import from its own floor and from those below. A new module directly under
# rxalerts/ needs a place here.
FLOORS: list[set[str]] = [
    {"_version", "errors", "escapes", "jsonvalues", "lazy", "priority", "timestamps", "record"}
    | {"alert", "arguments", "display", "format", "shapes"},
    {"wire"},
    {"flow"},
    {"operators", "sources", "sinks"},
    {"pipeline", "routes", "testing", "wiring"},
    {"config"},
    {"cli", "notebook", "__main__"},
]
FACADE = len(FLOORS)  # rxalerts/__init__.py: sees everything, is imported by users only


@dataclass(frozen=True)
class Import:
    """One import statement's target, as a dotted name."""

    importer: str
    target: str
    place: str


def module_name(path: Path) -> str:
    """Return the dotted name under which the file at `path` (below ROOT) is imported."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] != "rxalerts":
        parts.insert(0, "rxalerts")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Return all modules by name; the links rxalerts/operators and rxalerts/sinks are not followed."""
    links = [ROOT / "rxalerts" / "operators", ROOT / "rxalerts" / "sinks"]
    paths = [
        path
        for folder in ("rxalerts", "operators", "sinks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(path.is_relative_to(link) for link in links)
    ]
    return {module_name(path): path for path in paths}


def targets(node: ast.AST) -> Iterator[str]:
    """Yield what an import statement imports: `from rxalerts import alert` is an import of rxalerts.alert."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for name in node.names:
            inner = f"{node.module}.{name.name}"
            yield inner if inner in modules() else node.module


@cache
def imports() -> list[Import]:
    """Return every import of our own modules, those inside functions and for type checkers included."""
    return [
        Import(name, target, f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        for target in targets(node)
        if target.split(".")[0] == "rxalerts"
    ]


def room(module: str) -> str:
    """Return the part of the name that decides about the floor: `rxalerts.flow.mailbox` is in `flow`."""
    return [*module.split("."), ""][1]


def floor(module: str) -> int:
    """Return the number of the floor that `module` is on."""
    if module == "rxalerts":
        return FACADE
    for number, rooms in enumerate(FLOORS):
        if room(module) in rooms:
            return number
    raise AssertionError(f"{module} is on no floor: give it a place in FLOORS of tests/test_floors.py")


def channel_modules() -> set[str]:
    """Return the modules of sinks/ that hold a channel: a class with a `channel_name`."""
    return {
        name
        for name, path in modules().items()
        if room(name) == "sinks"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "channel_name"
        and node.value is not None
    }


def test_every_module_is_on_a_floor() -> None:
    """A module that no floor holds could import anything."""
    for module in modules():
        floor(module)


def test_nothing_imports_upwards() -> None:
    """values, wire, flow, operators and sources and sinks, pipeline, config, cli: only downwards."""
    upwards = [
        f"{i.place}: {i.importer} imports {i.target}"
        for i in imports()
        if floor(i.target) > floor(i.importer)
    ]
    assert upwards == []


@pytest.mark.parametrize(
    ("one", "other"),
    [(a, b) for a in ("operators", "sources", "sinks") for b in ("operators", "sources", "sinks") if a != b],
)
def test_neighbours_do_not_know_each_other(one: str, other: str) -> None:
    """An operator knows no sink, a sink no operator, a source neither: they only meet in a pipeline."""
    found = [
        f"{i.place}: {i.target}" for i in imports() if (room(i.importer), room(i.target)) == (one, other)
    ]
    assert found == []


def test_a_sink_knows_no_other_sink() -> None:
    """A sink shares helpers with others, never another sink's module; sinks/__init__.py lists them all."""
    channels = channel_modules()
    found = [
        f"{i.place}: {i.importer} imports {i.target}"
        for i in imports()
        if i.importer in channels and i.target in channels | {"rxalerts.sinks"} and i.target != i.importer
    ]
    assert found == []


def test_imports_are_absolute() -> None:
    """Relative imports break for tools that take operators/ or sinks/ as a top-level package."""
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []
