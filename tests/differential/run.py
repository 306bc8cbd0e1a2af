"""The same statement on the mesh and on one server that holds all rows, and what differed.

A refusal of the mesh (promise 1) is an outcome of its own: the statement then runs nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pymysql
from pymysql.constants import FIELD_TYPE, FLAG

from tests.differential.statements import Statement
from tests.plugins.equivalence import Answer, ask

_NOT_SUPPORTED = 1235
_LASTING_FLAGS = FLAG.UNSIGNED | FLAG.AUTO_INCREMENT
_TEXT_TYPES = (FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.BLOB)


@dataclass
class Report:
    """What a run found: statements compared, refusals by their sentence, and differences."""

    compared: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)


def run(
    statement: Statement, mesh: pymysql.Connection[Any], plain: pymysql.Connection[Any], report: Report
) -> None:
    """Runs one statement on both and notes what came of it."""
    answer = ask(mesh, statement.text)
    if answer.error == _NOT_SUPPORTED:
        report.refused.setdefault(answer.text, []).append(statement.text)
        return
    expected = ask(plain, statement.text)
    report.compared += 1
    if statement.folded:
        answer, expected = _folded(answer), _folded(expected)
    if not statement.ordered:
        answer, expected = answer.as_bag(), expected.as_bag()
    # A conversion of a constant warns once on every node it reaches, and a write that was not atomic says so.
    failure = f"  {answer.text} | {expected.text}"
    answer, expected = _comparable(answer), _comparable(expected)
    if answer != expected:
        report.different.append(f"{statement.text}\n{_difference(answer, expected)}\n{failure}")
    if statement.writes:
        run(Statement(f"SELECT * FROM {statement.writes}"), mesh, plain, report)


def _comparable(answer: Answer) -> Answer:
    """Without what depends on how a server went about it: a temporary table loses flags and renames expressions, an
    empty result may be known to have no NULL, and an error names the first row that was met."""
    columns = tuple(
        replace(
            column,
            flags=column.flags & _LASTING_FLAGS,
            type_code=FIELD_TYPE.VAR_STRING if column.type_code == FIELD_TYPE.STRING else column.type_code,
            org_name=column.org_name if column.org_table else "",
            decimals=0 if column.type_code in _TEXT_TYPES else column.decimals,
        )
        for column in answer.columns
    )
    return replace(answer, warnings=0, columns=columns, text="")


def _difference(mesh: Answer, plain: Answer) -> str:
    """The parts that differ, the first different row only."""
    lines: list[str] = []
    for part in ("error", "affected", "insert_id", "columns", "rows"):
        left, right = getattr(mesh, part), getattr(plain, part)
        if left == right:
            continue
        if isinstance(left, tuple) and len(left) == len(right):
            left, right = next(pair for pair in zip(left, right, strict=True) if pair[0] != pair[1])
        lines.append(f"  {part}\n    mesh:  {str(left)[:600]}\n    plain: {str(right)[:600]}")
    return "\n".join(lines)


def _folded(answer: Answer) -> Answer:
    """Texts in one case and without padding: which of two equal spellings stands for both is the server's choice."""
    rows = tuple(
        tuple(value.casefold().rstrip() if isinstance(value, str) else value for value in row)
        for row in answer.rows
    )
    return replace(answer, rows=rows)
