"""A server of one side has no room left: the job stops with the server's words, a write is on both sides or on neither, and there are three ways
on: make room and `resume`, give up (`cancel`, before the cutover), or be content (`finish`, after it)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.moving import MovingMesh, database_yaml, moving_mesh, source_yaml

pytestmark = pytest.mark.integration

ROWS = 1_900
LENGTH = 4_000
"""Bytes of a row's note: three rows take a page."""
LIMIT = 13 << 20
"""Bytes a file may have, when there is no room for all rows in one."""
NO_ROOM = 1114

_SHARDED = """\
- !SHARDING
  tables:
    item:
      actualDataNodes: ds_0.item_${0..1}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_table}}
  shardingAlgorithms:
    by_table: {type: INLINE, props: {algorithm-expression: 'item_${id % 2}'}}
- !SINGLE
  tables: ['*.*']
"""
_SINGLE = """\
- !SINGLE
  tables: ['ds_1.item']
"""
Row = tuple[int, int, str]


class Room:
    """Two servers: `large` has rows in two tables, `small` is to have them in one."""

    def __init__(self, large: DatabaseServer, small: DatabaseServer) -> None:
        self.large = large
        self.small = small
        for server in (large, small):
            server.execute("DROP DATABASE IF EXISTS room", "CREATE DATABASE room CHARACTER SET latin1")
        for table in range(2):
            values = (f"({id_}, 0, REPEAT('x', {LENGTH}))" for id_ in range(1, ROWS + 1) if id_ % 2 == table)
            large.execute(
                f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY, n INT NOT NULL, note VARCHAR({LENGTH}) NOT NULL)",
                f"INSERT INTO item_{table} VALUES {', '.join(values)}",
                database="room",
            )

    def old(self) -> list[Row]:
        """All rows of the old side."""
        return sorted([*self._rows(self.large, "item_0"), *self._rows(self.large, "item_1")])

    def new(self) -> list[Row]:
        """Those of the new one."""
        return self._rows(self.small, "item")

    @staticmethod
    def _rows(server: DatabaseServer, table: str) -> list[Row]:
        query = f"SELECT id, n, MD5(note) FROM {table} ORDER BY id"
        return [(int(id_), int(n), str(digest)) for id_, n, digest in server.execute(query, database="room")]

    def tables(self) -> list[set[str]]:
        """The actual tables of both servers, but for the mesh's own."""
        return [
            {str(name) for (name,) in server.execute("SHOW TABLES", database="room")} - {"dbmesh_txn"}
            for server in (self.large, self.small)
        ]


@pytest.fixture(scope="module")
def both(database_server: ServerFactory) -> list[DatabaseServer]:
    """With logs that are smaller than a file may be."""
    return database_server("large", "small", options=("--innodb-log-file-size=4M",))


@pytest.fixture
def room(both: list[DatabaseServer]) -> Iterator[Room]:
    """For one test."""
    yield Room(*both)
    for server in both:
        server.limit_files()


@pytest.fixture
def moving(room: Room, tmp_path: Path) -> Iterator[MovingMesh]:
    """From the one to the other."""
    sources = source_yaml("ds_0", room.large, "room") + source_yaml("ds_1", room.small, "room")
    before, after = (database_yaml(sources, rules) for rules in (_SHARDED, _SINGLE))
    with moving_mesh(tmp_path / "mesh", before, after) as made:
        yield made


def fill(cursor: Any, most: int) -> int:
    """Add rows to one actual table until the other side has no room; the first id of those that were refused."""
    for id_ in range(10_000, 10_000 + 2 * most, 40):
        values = ", ".join(f"({one}, 1, REPEAT('y', {LENGTH}))" for one in range(id_, id_ + 40, 2))
        try:
            cursor.execute(f"INSERT INTO item VALUES {values}")
        except pymysql.err.OperationalError as error:
            if (
                error.args[0] != NO_ROOM
                or "on the other side of a table whose rows are being moved" not in error.args[1]
            ):
                raise
            return id_
    raise AssertionError("there is room for all of them")


def is_there(cursor: Any, id_: int) -> bool:
    """Whether clients see a row."""
    cursor.execute("SELECT COUNT(*) FROM item WHERE id = %s", (id_,))
    return bool(cursor.fetchone()[0])


def refused(cursor: Any) -> None:
    """Rows for which only one side has room are on neither, and their transaction goes on; what takes no room is done."""
    cursor.execute("BEGIN")
    cursor.execute("UPDATE item SET n = n + 1 WHERE id = 3")
    assert not is_there(cursor, fill(cursor, ROWS))
    cursor.execute("ROLLBACK")
    cursor.execute("UPDATE item SET n = n + 1 WHERE id = 5")
    cursor.execute("DELETE FROM item WHERE id = 7")


def stopped(moving: MovingMesh, room: Room) -> None:
    """A job that has met a full disk."""
    room.small.limit_files(LIMIT)
    found = moving.start(phase="copy")
    assert found["stopped"] == "ds_1: The table 'item' is full"
    assert "does not go on: " in moving.reshard("status", code=3)


def test_room_is_made(moving: MovingMesh, room: Room) -> None:
    stopped(moving, room)
    with moving.connect() as connection, connection.cursor() as cursor:
        refused(cursor)
        moving.reshard("resume")
        assert "is full" in moving.at_rest("copy")["stopped"], "it is as full as before"
        room.small.limit_files()
        cursor.execute("INSERT INTO item VALUES (1000000, 1, 'there is room')")
    moving.reshard("resume")
    found = moving.at_rest("ready")
    assert not found["stopped"]
    assert found["progress"]["tables"]["item"]["repaired"] == 0
    assert room.old() == room.new()
    assert len(room.new()) == ROWS
    moving.reshard("cutover")
    moving.reshard("finish")
    assert room.tables() == [set(), {"item"}]


def test_the_job_is_given_up(moving: MovingMesh, room: Room) -> None:
    stopped(moving, room)
    with moving.connect() as connection, connection.cursor() as cursor:
        refused(cursor)
        # What undoes a deletion takes room too.
        room.small.execute(
            "CREATE TRIGGER full BEFORE DELETE ON item FOR EACH ROW "
            f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {NO_ROOM}, MESSAGE_TEXT = 'no room'",
            database="room",
        )
        moving.reshard("cancel")
        assert room.tables() == [{"item_0", "item_1"}, set()]
        cursor.execute("INSERT INTO item VALUES (%s, 1, REPEAT('y', %s))", (10_000, LENGTH))
        assert is_there(cursor, 10_000)
    assert len(room.old()) == ROWS


def test_the_former_side_has_no_room_after_the_cutover(moving: MovingMesh, room: Room) -> None:
    moving.start()
    moving.reshard("cutover")
    room.large.limit_files(LIMIT)
    with moving.connect() as connection, connection.cursor() as cursor:
        id_ = fill(cursor, ROWS)
        assert room.old() == room.new()
        moving.reshard("finish")
        assert room.tables() == [set(), {"item"}]
        cursor.execute("INSERT INTO item VALUES (%s, 1, REPEAT('y', %s))", (id_, LENGTH))
        assert is_there(cursor, id_)
