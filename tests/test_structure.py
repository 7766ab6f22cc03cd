"""The structure of `src/`: which way imports go, and what only certain folders may do.

Read from the syntax of the files, so that imports inside functions count too.
"""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from PIL import Image

from helpers import REPOSITORY

SOURCE = REPOSITORY / "src"
PACKAGE = "mnist_lit"

# From top to bottom. A room imports from itself and from lower lines, so rooms on one line don't
# import each other. CONTRIBUTING.md explains them.
ORDER = [
    {"cli"},
    {"report", "formats", "prediction"},
    {"training"},
    {"runs", "data"},
    {"evaluation"},
    {"checkpoints"},
    {"network", "pictures"},
    {"files", "environment", "templating"},
    {"errors", "class_names", "colours", "cores"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
LONGEST = 60  # lines of a function, its docstring included
# These names are computed from the network; one file may list them, to map those of older files.
LAYER = re.compile(r"\b(conv|pool|norm|dense)[0-9]\b")


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every module of the package, by its dotted name."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def room(module: str) -> str:
    """Return the folder or file directly in the package that a module belongs to."""
    return module.split(".")[1]


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted name of everything that a module imports, with the line."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (name if name in modules() else str(node.module)), node.lineno


def inner() -> list[tuple[str, str, int]]:
    """Return each import of one module of the package by another: importer, imported, line."""
    return [
        (module, name, line)
        for module in modules()
        if module not in (PACKAGE, f"{PACKAGE}.__main__")  # the public names, and the entry point
        for name, line in imports(module)
        if name.split(".")[0] == PACKAGE and name != PACKAGE
    ]


def strings(module: str) -> Iterator[tuple[str, int]]:
    """Yield the string literals of a module, without docstrings, with their lines."""
    tree = modules()[module]
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield text, node.lineno


def circle(edges: set[tuple[str, str]]) -> list[str]:
    """Return the nodes of a circle, or nothing where there is none."""
    graph: dict[str, set[str]] = {}
    for start, end in edges:
        if start != end:
            graph.setdefault(start, set()).add(end)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        nodes: list[str] = error.args[1]
        return nodes[::-1]  # graphlib lists the imported before its importer
    return []


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in modules() if "." in module} - {"__main__"}
    assert rooms == LEVEL.keys()


def test_imports_go_one_way() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, name, line in inner()
        if room(module) != room(name) and LEVEL[room(module)] >= LEVEL[room(name)]
    ]
    assert not wrong, "against the direction of ORDER:\n" + "\n".join(wrong)


def test_no_circle_of_files() -> None:
    found = circle({(module, name) for module, name, _ in inner()})
    assert not found, " → ".join(found)


def test_no_circle_of_folders() -> None:
    """The files and folders in any one folder: a folder imports what any file in it imports."""
    edges = set()
    for module, name, _ in inner():
        one, other = module.split("."), name.split(".")
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        if same is not None:
            edges.add((".".join(one[: same + 1]), ".".join(other[: same + 1])))
    found = circle(edges)
    assert not found, " → ".join(found)


ONLY_IN = {
    "argparse": {"cli"},
    "jsonargparse": {"cli"},
    "lightning": {"cli", "training", "data"},
}


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_stays_in_its_rooms(library: str) -> None:
    wrong = [
        f"{module}:{line}"
        for module in modules()
        for name, line in imports(module)
        if name.split(".")[0] == library and room(module) not in ONLY_IN[library]
    ]
    assert not wrong, f"import {library} outside {ONLY_IN[library]}:\n" + "\n".join(wrong)


def test_in_data_only_the_data_module_imports_lightning() -> None:
    lightning = {
        module
        for module in modules()
        if module.startswith(f"{PACKAGE}.data")
        for name, _ in imports(module)
        if name.split(".")[0] == "lightning"
    }
    assert lightning <= {f"{PACKAGE}.data.datamodule"}


def outside_cli() -> list[str]:
    return [name for name in modules() if "." in name and room(name) not in ("cli", "__main__")]


def test_only_commands_print() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in outside_cli()
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert not wrong, "print outside cli:\n" + "\n".join(wrong)


def test_only_commands_name_options() -> None:
    wrong = [
        f"{module}:{line} {text!r}"
        for module in outside_cli()
        for text, line in strings(module)
        if re.search(r"--[a-z]", text)
    ]
    assert not wrong, "options named outside cli:\n" + "\n".join(wrong)


def test_layer_names_stand_in_one_file() -> None:
    found: dict[str, list[str]] = {}
    for module in modules():
        names = list(strings(module))
        names += [
            (node.attr, node.lineno)
            for node in ast.walk(modules()[module])
            if isinstance(node, ast.Attribute)
        ]
        for text, line in names:
            if LAYER.search(text):
                found.setdefault(module, []).append(f"{module}:{line} {text!r}")
    allowed = [module for module in found if module.startswith(f"{PACKAGE}.network.")][:1]
    wrong = [place for module in found if module not in allowed for place in found[module]]
    assert not wrong, f"names of layers outside {allowed}:\n" + "\n".join(wrong)


def test_functions_are_short() -> None:
    wrong = [
        f"{module}:{node.lineno} {node.name} has {length} lines"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST
    ]
    assert not wrong, f"longer than {LONGEST} lines:\n" + "\n".join(wrong)


REPORT_IMPORTS = """
import sys
from mnist_lit.cli import main
code = main(sys.argv[2:])
found = sorted(set(sys.argv[1].split(",")) & sys.modules.keys())
sys.exit(f"imports {', '.join(found)}" if found else code)
"""
HEAVY = ("lightning", "pytorch_lightning", "jsonargparse", "torchvision", "matplotlib", "pandas")


def assert_stays_light(args: list[str], heavy: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", REPORT_IMPORTS, ",".join(heavy), *args]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_help_starts_without_torch() -> None:
    assert_stays_light(["--help"], (*HEAVY, "torch", "numpy", "PIL"))


def test_predict_starts_without_lightning() -> None:
    picture = np.full((80, 80), 255, np.uint8)
    picture[15:65, 36:44] = 0  # a 1
    Image.fromarray(picture).save("one.png")
    assert_stays_light(["predict", "one.png", "--ckpt_path", "pretrained"], HEAVY)
