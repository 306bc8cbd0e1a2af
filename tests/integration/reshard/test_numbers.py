"""AUTO_INCREMENT while a table becomes a sharded one, or a single one again: clients who give no numbers get some on either side of every switch,
none twice and none that is taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.moving import MovingMesh, database_yaml, moving_mesh, source_yaml
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 300

_SINGLE = """\
- !SINGLE
  tables: ['ds_0.item']
"""
_SHARDED = """\
- !SHARDING
  tables:
    item:
      actualDataNodes: ds_${0..1}.item_${0..1}
      databaseStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_source}}
      tableStrategy: {standard: {shardingColumn: owner, shardingAlgorithmName: by_table}}
      keyGenerateStrategy: {column: id, keyGeneratorName: counted}
  shardingAlgorithms:
    by_source: {type: INLINE, props: {algorithm-expression: 'ds_${id % 2}'}}
    by_table: {type: INLINE, props: {algorithm-expression: 'item_${owner % 2}'}}
  keyGenerators:
    counted: {type: AUTO_INCREMENT}
"""
_COLUMNS = "id BIGINT AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL, note VARCHAR(40) NOT NULL"


class Writer(threading.Thread):
    """Adds rows without numbers, one or three at a time; `ids` are those it was told of."""

    def __init__(self, connect: Any, number: int) -> None:
        super().__init__()
        self._connect = connect
        self._number = number
        self.stopping = threading.Event()
        self.ids: list[int] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Until it is stopped, or something is wrong."""
        connection = self._connect()
        with connection.cursor() as cursor:
            while not self.stopping.wait(0.005):
                many = 3 if len(self.ids) % 5 == 0 else 1
                values = ", ".join(
                    f"({self._number + index}, 'from {self._number}')" for index in range(many)
                )
                try:
                    cursor.execute(f"INSERT INTO item (owner, note) VALUES {values}")
                except pymysql.err.MySQLError as error:
                    self.errors.append(str(error))
                    break
                self.ids += range(cursor.lastrowid, cursor.lastrowid + many)
        connection.close()


@contextmanager
def writing(moving: MovingMesh) -> Iterator[list[Writer]]:
    """Four of them for the block; none sees anything wrong, no number was given twice, and all their rows are there."""
    writers = [Writer(moving.connect, number) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(30)
    assert [error for writer in writers for error in writer.errors] == []
    given = [id_ for writer in writers for id_ in writer.ids]
    assert len(given) == len(set(given))
    found = moving.run("SELECT id FROM item WHERE note LIKE 'from %' ORDER BY id")
    assert [id_ for (id_,) in found] == sorted(given)


def _go_on(writers: list[Writer]) -> None:
    """Each adds some rows more."""
    before = [len(writer.ids) for writer in writers]
    wait_until(
        lambda: all(
            len(writer.ids) > count + 20 or writer.errors
            for writer, count in zip(writers, before, strict=True)
        ),
        60,
        "rows are added",
    )


@pytest.mark.parametrize(
    ("before", "after", "tables"),
    [(_SINGLE, _SHARDED, ["item"]), (_SHARDED, _SINGLE, ["item_0", "item_1"])],
    ids=["to shards", "from shards"],
)
def test_numbers(
    servers: list[DatabaseServer], tmp_path: Path, before: str, after: str, tables: list[str]
) -> None:
    for server in servers:
        server.execute("DROP DATABASE IF EXISTS counted", "CREATE DATABASE counted")
    for server in servers[: len(tables)]:
        server.execute(*(f"CREATE TABLE {table} ({_COLUMNS})" for table in tables), database="counted")
    sources = "".join(source_yaml(f"ds_{number}", server, "counted") for number, server in enumerate(servers))
    with moving_mesh(tmp_path, database_yaml(sources, before), database_yaml(sources, after)) as moving:
        moving.run("INSERT INTO item (owner, note) VALUES " + ", ".join(f"({n}, 'old')" for n in range(ROWS)))
        with writing(moving) as writers:
            _go_on(writers)
            moving.start("--hold", "4")
            for verb in ("cutover", "rollback", "cutover"):
                _go_on(writers)
                moving.reshard(verb)
            _go_on(writers)
            moving.reshard("finish")
            _go_on(writers)
