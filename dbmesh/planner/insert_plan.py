"""The plan of an INSERT into a sharded table: rows of one call to shots.

Decides nothing any more: tables, columns and keys were settled when it was planned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.insert_rows import FoldedRows, Numberer, PlacedRows, WrittenRows
from dbmesh.planner.plan import (
    Answer,
    BoundStatement,
    Call,
    CountMerge,
    Names,
    PinReason,
    Relay,
    ReturnedRows,
    Shot,
    SideEffects,
    Verb,
)
from dbmesh.planner.template import Frame
from dbmesh.planner.text_plan import prototype_shot
from dbmesh.rules.keygen.auto_increment import MOST_KEY, AutoIncrement
from dbmesh.rules.placement import place_rows
from dbmesh.rules.ruleset import BroadcastTable, Hints, ShardedTable

_VALUES = re.compile(rb"\bVALUES?\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """A `ShardPlan`. `heads` and `tails` are the texts before and after the rows, per data node; `generator` names the
    key generator that fills in missing keys; `unnumbered` the AUTO_INCREMENT column that has none; `gives_id`: no data
    source numbers rows; `selectable`: a row may be written as a query; `most_key`: the greatest number the generated column
    takes."""

    verb: Verb
    tables: tuple[str, ...]
    table: ShardedTable | BroadcastTable
    heads: Mapping[DataNode, Frame]
    tails: Mapping[DataNode, Frame]
    rows: FoldedRows | WrittenRows
    hints: Hints
    generator: str | None
    unnumbered: str | None
    returning: bool
    names: Names
    effects: SideEffects | None = None
    gives_id: bool = False
    reads_only: bool = False
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    ignores: bool = field(default=False, repr=False)
    most_key: int = field(default=MOST_KEY, repr=False)
    selectable: bool = field(default=False, repr=False)
    direct: None = None

    def bind(self, call: Call) -> BoundStatement:
        """One shot per data node that gets rows, rows in the client's order. O(rows).

        Raises MeshError(NO_ROUTE) for a row without a place.
        """
        keep = call.keep_parameters and self._has_one_text
        placed = self._place(call, keep)
        nodes: list[DataNode] = []
        if isinstance(self.table, ShardedTable):
            nodes = place_rows(self.table, placed.keys, len(placed.texts), self.hints)
        by_node = self._by_node(placed, nodes)
        among = self.selectable and (len(placed.texts) > 1 or call.among_rows)
        queries = among and call.session.singles_out(ignores=self.ignores)
        shots = tuple(
            self._shot(node, texts, call, keep, queries and len(texts) == 1)
            for node, texts in by_node.items()
        )
        first = placed.first_generated if isinstance(placed.first_generated, int) else None
        answer: Answer
        if self.returning:
            answer = Relay() if len(shots) == 1 else _returned(nodes, by_node)
        elif isinstance(self.table, BroadcastTable):
            answer = CountMerge(broadcast=True)
        elif len(shots) == 1 and placed.first_generated is None:
            answer = Relay()
        else:
            numbers = partial(_row_numbers, nodes, tuple(by_node))
            last = list(by_node).index(nodes[-1])
            answer = CountMerge(last_insert_id=first, last=last, inserts=True, numbers=numbers)
        if self.effects is not None and len(shots) > 1:
            raise not_supported("assigning variables on several data nodes", "use SET @variable = …")
        written_in = call.keep_parameters and self.returning and not keep
        return BoundStatement(
            shots,
            answer,
            self.names,
            keep or written_in,
            first,
            parameters=() if written_in else None,
            effects=self.effects,
            gives_id=self.gives_id and first is None,
        )

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The statement on the first data node; rows that are put together are sampled."""
        node = self.table.nodes[0]
        if isinstance(self.rows, FoldedRows):
            frames: tuple[Frame, ...] = (self.heads[node], self.rows.example(), self.tails[node])
        else:
            frames = (self.heads[node], *self.rows.example(), self.tails[node])
        return prototype_shot(node.data_source, frames, literals)

    @property
    def _has_one_text(self) -> bool:
        """Whether every call's text is the same but for its values: one row has one place, or all of them; a generated key
        would make every text another one."""
        if isinstance(self.rows, FoldedRows):
            return False
        return len(self.rows.rows) == 1 and self.rows.rows[0].key is None

    def _place(self, call: Call, keep: bool) -> PlacedRows:
        number: Numberer | None = None
        if self.generator is not None:
            generator = call.key_generators[self.generator]
            number = generator.number
            if isinstance(generator, AutoIncrement):
                step, first = call.session.numbering
                number = partial(generator.number, step=step, first=first, most=self.most_key)
        elif self.unnumbered is not None:
            number = self._refuse_rows
        if isinstance(self.rows, FoldedRows):
            return self.rows.place(call, number)
        return self.rows.place(call, number, keep_parameters=keep)

    def _refuse_rows(self, given: Sequence[object]) -> Sequence[int | str | None]:
        """Rows that bring a key of their own may pass."""
        if None in given:
            raise unnumbered_row(self.table, self.unnumbered or "")
        return [None] * len(given)

    def _by_node(self, placed: PlacedRows, nodes: Sequence[DataNode]) -> dict[DataNode, list[str]]:
        if isinstance(self.table, BroadcastTable):
            return dict.fromkeys(self.table.nodes, placed.texts)
        # Routers hand out the table's own node objects; hashing each row's node by value would cost more than routing.
        groups: dict[int, list[str]] = {}
        for number, text in zip(map(id, nodes), placed.texts, strict=True):
            group = groups.get(number)
            if group is None:
                groups[number] = [text]
            else:
                group.append(text)
        by_id = {id(node): node for node in nodes}
        by_node: dict[DataNode, list[str]] = {}
        for number, texts in groups.items():
            by_node.setdefault(by_id[number], []).extend(texts)
        if self.returning:
            # Shots run in the order of their data sources; rows are told apart by the number of their shot.
            return dict(sorted(by_node.items(), key=lambda entry: entry[0].data_source))
        return by_node

    def _shot(self, node: DataNode, texts: list[str], call: Call, keep: bool, as_query: bool) -> Shot:
        head = self.heads[node].render(call.literals, call, keep_parameters=keep)
        rows = ",".join(texts)
        if as_query and (values := _VALUES.search(head)) is not None and rows[0] == "(":
            # What a query gives is never a row alone, however many there are.
            head, rows = head[: values.start()] + b"SELECT ", f"{rows[1:-1]} "
        tail = self.tails[node].render(call.literals, call, keep_parameters=keep)
        return Shot(node.data_source, b"".join((head, rows.encode("utf-8", "surrogateescape"), tail)))


def _returned(nodes: Sequence[DataNode], by_node: Mapping[DataNode, object]) -> ReturnedRows:
    """Rows in the order they were written; of a broadcast table (no `nodes`) those of the first data source."""
    number = {node: at for at, node in enumerate(by_node)}
    return ReturnedRows(tuple([number[node] for node in nodes]), broadcast=not nodes)


def _row_numbers(nodes: Sequence[DataNode], shots: Sequence[DataNode]) -> list[list[int]]:
    """The rows' numbers by the node of each shot."""
    found: dict[DataNode, list[int]] = {node: [] for node in shots}
    for number, node in enumerate(nodes, 1):
        found[node].append(number)
    return list(found.values())


def unnumbered_row(table: ShardedTable | BroadcastTable, column: str) -> MeshError:
    """The refusal of a row whose AUTO_INCREMENT column several servers would number by themselves."""
    if isinstance(table, BroadcastTable):
        return not_supported(
            f"AUTO_INCREMENT for the broadcast table '{table.name}' (its servers could count differently)",
            f"give column '{column}' a value in every row",
        )
    return not_supported(
        f"AUTO_INCREMENT for the sharded table '{table.name}' (its data nodes would give the same number twice)",
        f"write a keyGenerateStrategy for column '{column}' or give it a value in every row",
    )
