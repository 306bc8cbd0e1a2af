"""The house keeps its shape: tests mirror modules, modules say what they decide, nothing grows past reading."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dbmesh"
UNIT = ROOT / "tests" / "unit"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(path for path in UNIT.rglob("test_*.py") if path.parent != UNIT)
MOST_LINES_OF_A_FILE = 700
MOST_LINES_OF_A_FUNCTION = 80


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Module:
    """A module as people and as Python read it."""

    text: str
    tree: ast.Module


@pytest.fixture(scope="module", params=MODULES, ids=_name)
def module(request: pytest.FixtureRequest) -> Module:
    """Each module of the package, parsed once for all tests."""
    text = request.param.read_text()
    return Module(text, ast.parse(text))


def test_a_module_says_what_it_decides(module: Module) -> None:
    assert ast.get_docstring(module.tree), "a module opens with a docstring"


def test_a_module_can_be_read_in_one_go(module: Module) -> None:
    assert len(module.text.splitlines()) <= MOST_LINES_OF_A_FILE
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {length} lines"


def test_a_public_function_or_class_says_what_it_does(module: Module) -> None:
    silent = [
        node.name
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_nothing_is_left_half_done(module: Module) -> None:
    for word in ("TODO", "FIXME", "XXX"):
        assert not re.search(rf"\b{word}\b", module.text), word
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplementedError" not in ast.unparse(node.exc), f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            pytest.fail(f"line {node.lineno}: `except:` catches what it cannot name")


@pytest.mark.parametrize("path", TESTS, ids=_name)
def test_a_test_file_mirrors_a_module(path: Path) -> None:
    module = PACKAGE / path.relative_to(UNIT).with_name(path.name.removeprefix("test_"))
    package = module.with_suffix("")
    assert module.exists() or package.is_dir(), f"{_name(module)} does not exist"


def test_every_package_has_tests() -> None:
    packages = {
        path.parent.relative_to(PACKAGE).parts[0]
        for path in MODULES
        if path.parent != PACKAGE and path.name != "__init__.py"
    }
    tested = {path.parent.relative_to(UNIT).parts[0] for path in TESTS}
    # Above the engine everything is sockets and sessions: the integration tests hold it.
    assert packages - tested <= {"session", "server", "engine", "transaction", "app"}
