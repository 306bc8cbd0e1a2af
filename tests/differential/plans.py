"""Column definitions a plain server tells of a statement depend on its plan: whether the rows go through a temporary table
(MySQL manual, "Internal Temporary Table Use in MySQL"). Where a statement names several tables, that depends on which is
read first, and so on how many rows are where.

Decides what makes a plain server take the other plan. Compares no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.differential.client import Answer, read_definition
from tests.differential.tree import Limit, Part, Raw, Select, TableRef

_BUFFERED = "SQL_BUFFER_RESULT"


def _other_plans(statement: Part) -> Iterator[Part]:
    """The statement with a temporary table at its end, and the statement that is not run at all."""
    if isinstance(statement, Select) and _tables(statement) > 1:
        yield replace(statement, modifiers=(*statement.modifiers, _BUFFERED))
        yield replace(statement, limit=Limit(Raw("0")))


def _tables(part: Part) -> int:
    return isinstance(part, TableRef) + sum(
        _tables(piece) for piece in part.spell() if isinstance(piece, Part)
    )


def planned_alike(statement: Part, mesh: Answer, plain: Answer, ask: Callable[[Part], Answer]) -> Answer:
    """Plain's answer, with the mesh's definition of every column of which each part is told so under some plan."""
    if mesh.columns == plain.columns or len(mesh.columns) != len(plain.columns):
        return plain
    witnesses = [ask(other) for other in _other_plans(statement)]
    told = zip(*(witness.columns for witness in (plain, *witnesses)), strict=False)
    columns = tuple(
        ours if _told(ours, theirs) else theirs[0] for ours, theirs in zip(mesh.columns, told, strict=False)
    )
    return replace(plain, columns=columns) if len(columns) == len(plain.columns) else plain


def _told(ours: bytes, theirs: Sequence[bytes]) -> bool:
    mesh, plain = vars(read_definition(ours)), [vars(read_definition(packet)) for packet in theirs]
    foreign = [part for part, value in mesh.items() if all(value != other[part] for other in plain)]
    # Flags are parts of their own.
    return not foreign or (
        foreign == ["flags"] and not any(_foreign_flags(mesh["flags"], [other["flags"] for other in plain]))
    )


def _foreign_flags(mesh: int, plain: Sequence[int]) -> Iterator[int]:
    for bit in range(16):
        if all((mesh ^ flags) >> bit & 1 for flags in plain):
            yield bit
