"""What CHECK, ANALYZE, OPTIMIZE, REPAIR and CHECKSUM TABLE say of tables that lie on several data nodes, as one server says it of one table.

Decides which of the nodes' lines stay: each thing is said once for a table, and of its states the worst; checksums are added.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbmesh.engine.exchange import Sink
from dbmesh.planner.plan import Names, TableReports
from dbmesh.session.answering.errors import logic_text
from dbmesh.wire.values import decode_text_row, encode_text_row

_STATUS, _GOOD = b"status", (b"OK", b"Table is already up to date")

Line = tuple[bytes | None, ...]


class TableReportsSink:
    """A sink in front of a client's sink. Nothing leaves before `end`. A line is table, operation, kind and text."""

    def __init__(self, sink: Sink, answer: TableReports, names: Names) -> None:
        self._sink = sink
        self._names = names
        self._sums = answer.sums
        # In the client's order, whatever the order of the data nodes.
        self._lines: dict[bytes | None, list[Line]] = {
            table.encode("utf-8", "surrogateescape"): [] for table in answer.tables
        }
        self.columns = sink.columns

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`."""
        for row in rows:
            table, *rest = decode_text_row(row)
            name = (table or b"").decode("utf-8", "surrogateescape")
            logic = logic_text(name, self._names, "").encode("utf-8", "surrogateescape")
            self._lines.setdefault(logic, []).append(tuple(rest))

    def end(self) -> None:
        """All data nodes have told theirs."""
        self._sink.rows(
            [
                encode_text_row([table, *line])
                for table, lines in self._lines.items()
                for line in (_added(lines) if self._sums else _as_one(dict.fromkeys(lines)))
            ]
        )


def _added(lines: Iterable[Line]) -> list[Line]:
    """Servers count rows' checksums in 32 bits. There is none where one is missing (QUICK)."""
    numbers = [line[0] for line in lines]
    known = [int(number) for number in numbers if number is not None]
    return [(b"%d" % (sum(known) % 2**32) if len(known) == len(numbers) else None,)] if numbers else []


def _as_one(lines: Iterable[Line]) -> list[Line]:
    lines = tuple(lines)
    states = [line for line in lines if line[1] == _STATUS]
    bad = [line for line in states if line[2] not in _GOOD]
    return [line for line in lines if line[1] != _STATUS] + (bad or states[:1])
