"""Where rows really went: the servers' own counts of rows written, read again and again while a suite runs.

Decides how counts of tables that come and go are summed. Knows nothing of dbmesh but the names of actual tables.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self

from tests.plugins.mariadb import MariaDb

_SECONDS_BETWEEN = 0.5
_COUNTS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, ROWS_CHANGED FROM information_schema.TABLE_STATISTICS "
    "WHERE TABLE_SCHEMA <> 'mysql'"
)
Table = tuple[str, str, str]
"""Server, schema, actual table."""


class RowCounter:
    """A context manager that counts. A server forgets a table's count with the table: what a table got in the last half
    second of its life is missed."""

    def __init__(self, servers: Sequence[MariaDb], shards: int) -> None:
        self._servers = servers
        self._shards = shards
        self._last: dict[Table, int] = {}
        self._written: Counter[Table] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, name="row counter")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def places(self) -> dict[str, int]:
        """Rows written by place: `m0 …_2` is the third actual table of every sharded table, on server m0; `m0 single` is
        every other table of that server."""
        names = {(schema, table) for _, schema, table in self._written}
        found: Counter[str] = Counter()
        for (server, schema, table), rows in self._written.items():
            base, _, number = table.rpartition("_")
            nodes = [str(node) for node in range(self._shards)]
            sharded = number in nodes and all((schema, f"{base}_{node}") in names for node in nodes)
            found[f"{server} …_{number}" if sharded else f"{server} single"] += rows
        return dict(sorted(found.items()))

    def _count(self) -> None:
        connections = [(server.name, server.connect()) for server in self._servers]
        while not self._stop.wait(_SECONDS_BETWEEN):
            now: dict[Table, int] = {}
            for name, connection in connections:
                with connection.cursor() as cursor:
                    cursor.execute(_COUNTS)
                    now.update({(name, schema, table): int(rows) for schema, table, rows in cursor})
            for key, rows in now.items():
                before = self._last.get(key, 0)
                # A table made anew under its old name counts from zero.
                self._written[key] += rows - before if rows >= before else rows
            self._last = now
        for _, connection in connections:
            connection.close()
