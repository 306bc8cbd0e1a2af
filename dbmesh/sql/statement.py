"""A shape, read: its text, slots, tokens and tree, and the way from a tree node back to the text.

Decides positions only. What a node means for shards is the planner's business.
"""

from __future__ import annotations

from functools import cached_property

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from dbmesh.sql.hints import HintValues, parse_hints
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.sql.parse import parse, parseable, tokenize
from dbmesh.sql.shape import Shape, Slot, SlotKind, cut


class Statement:
    """One statement's shape. Everything costly is computed when first asked for; each raises MeshError as
    `dbmesh.sql.parse` says."""

    def __init__(self, shape: str, flags: LexerFlags = DEFAULT) -> None:
        self.flags = flags
        self.shape: Shape = cut(shape, flags)

    @property
    def text(self) -> str:
        """The shape's text; every position refers to it."""
        return self.shape.text

    @cached_property
    def readable(self) -> str:
        """The text as sqlglot reads it, same length."""
        return parseable(self.shape, self.flags)

    @cached_property
    def tree(self) -> exp.Expression:
        """The syntax tree."""
        return parse(self.readable)

    @cached_property
    def tokens(self) -> list[Token]:
        """sqlglot's tokens; `end` is inclusive there."""
        return tokenize(self.readable)

    @cached_property
    def hints(self) -> HintValues:
        """The routing hints in front of the statement."""
        return parse_hints(self.shape.hints)

    @cached_property
    def _slots_by_start(self) -> dict[int, Slot]:
        return {slot.start: slot for slot in self.shape.slots}

    def slot(self, node: exp.Expr) -> Slot | None:
        """The slot a literal node of the tree stands for; None for any other node."""
        start = (
            node.meta.get("start") if isinstance(node, exp.Literal | exp.HexString | exp.BitString) else None
        )
        if start is None:
            return None
        slot = self._slots_by_start.get(start)
        if slot is None and not isinstance(node, exp.Literal):
            slot = self._slots_by_start.get(start + 1)
            if slot is not None and slot.kind not in (SlotKind.HEX, SlotKind.BIT):
                return None
        return slot

    def slots_between(self, start: int, end: int) -> tuple[Slot, ...]:
        """Slots inside a span, in order."""
        return tuple(slot for slot in self.shape.slots if start <= slot.start and slot.end <= end)
