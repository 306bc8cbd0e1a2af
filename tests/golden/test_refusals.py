"""`unsupported.yaml` is the whole list of what dbmesh refuses: every sentence in the code stands in it, and no other.

Refusals of PostgreSQL and SQLite data sources are listed in docs/DIALECTS.md. `DBMESH_GOLDEN=rewrite` writes the list anew.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from dbmesh.planner import one_server, unsupported

_ROOT = Path(__file__).parents[2]
_FILE = Path(__file__).with_name("unsupported.yaml")
_DIALECTS = ("dbmesh/backend/sqlite/", "dbmesh/backend/postgres/", "dbmesh/backend/transpile/")


def _text(node: ast.expr) -> str:
    """A sentence's part as its reader sees it; '…' stands for what depends on the statement."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body)} | {_text(node.orelse)}"
    return "…"


def _refusals(tree: ast.AST, pairs: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "not_supported":
            first = node.args[0]
            if isinstance(first, ast.Starred) and isinstance(first.value, ast.Name):
                yield pairs[first.value.id]
            elif not all(isinstance(argument, ast.Name) for argument in node.args):
                yield "; ".join(_text(argument) for argument in node.args)


def _pairs(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Sentences that have a name: module-level pairs of texts."""
    return {
        statement.targets[0].id: "; ".join(map(_text, statement.value.elts))
        for tree in trees
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Tuple)
        and len(statement.value.elts) == 2
    }


def sentences() -> dict[str, list[str]]:
    """By package and module, each `what is not supported; what to do instead`."""
    paths = sorted((_ROOT / "dbmesh").rglob("*.py"))
    trees = {path.relative_to(_ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}
    pairs = _pairs(trees.values())
    found = {
        place: set(_refusals(tree, pairs)) for place, tree in trees.items() if not place.startswith(_DIALECTS)
    }
    found["dbmesh/planner/unsupported.py"] |= {
        f"{what}; {instead}" for _, what, instead in unsupported.REFUSALS
    }
    found["dbmesh/planner/one_server.py"] |= {f"{what}; {instead}" for _, what, instead in one_server.SHOWN}
    return {place: sorted(told) for place, told in found.items() if told}


def test_every_refusal_is_listed() -> None:
    listed = yaml.safe_load(_FILE.read_text())["sentences"]
    assert listed == sentences(), "read them, then write the list anew: DBMESH_GOLDEN=rewrite"


def rewrite() -> None:
    """Replace the list by what the code says now; the cases stay."""
    content = yaml.safe_load(_FILE.read_text())
    content["sentences"] = sentences()
    head = "".join(line for line in _FILE.read_text().splitlines(True) if line.startswith("#"))
    _FILE.write_text(head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000))


if os.environ.get("DBMESH_GOLDEN") == "rewrite":
    rewrite()
