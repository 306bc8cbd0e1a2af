"""The primary changes: what clients see of it."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import (
    COM_STMT_EXECUTE,
    COM_STMT_SEND_LONG_DATA,
    Failure,
    RawClient,
    execute_payload,
)
from tests.plugins.replication import Replication

pytestmark = pytest.mark.integration

MeshOf = Callable[..., Mesh]
ADD = "UPDATE account SET balance = balance + 1 WHERE id = 1"


@pytest.fixture
def own_replication(own_server: ServerFactory) -> Replication:
    """Servers for one test."""
    return Replication(own_server, "own")


class Writer(threading.Thread):
    """Adds 1 to an account again and again; remembers what was acknowledged and every error."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__()
        self.connection = mesh.connect("bank")
        self.acknowledged = 0
        self.errors: list[Exception] = []
        self._ended = threading.Event()

    def run(self) -> None:
        with self.connection, self.connection.cursor() as cursor:
            while not self._ended.is_set():
                try:
                    self.acknowledged += cursor.execute(ADD)
                except pymysql.err.MySQLError as error:
                    self.errors.append(error)
                    return

    def end(self) -> None:
        self._ended.set()
        self.join(30)
        assert not self.is_alive()


def overview(mesh: Mesh) -> dict[str, tuple[str, str]]:
    """Server → role and state."""
    with mesh.connect("bank") as connection, connection.cursor() as cursor:
        cursor.execute("SHOW PROXY REPLICAS")
        return {str(row[2]): (str(row[3]), str(row[4])) for row in cursor.fetchall()}


def balance(replication: Replication, server: str) -> Any:
    return replication.servers[server].execute("SELECT balance FROM accounts.account WHERE id = 1")[0][0]


def test_a_planned_change_of_the_primary_fails_no_statement_outside_a_transaction(
    own_replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(own_replication)
    writers = [Writer(mesh) for _ in range(4)]
    inside = mesh.connect("bank", autocommit=False)
    for writer in writers:
        writer.start()
    with inside, inside.cursor() as cursor:
        cursor.execute("SELECT balance FROM account WHERE id = 2 FOR UPDATE")
        wait_until(lambda: all(writer.acknowledged > 20 for writer in writers), 20, "writers at work")
        own_replication.servers["p"].execute("SET GLOBAL read_only = 1")
        wait_until(lambda: overview(mesh)["p"] == ("primary", "it is read-only"), 10, "noticed")
        with pytest.raises(pymysql.err.MySQLError, match="read-only"):
            cursor.execute("UPDATE account SET balance = 0 WHERE id = 2")
        before = sum(writer.acknowledged for writer in writers)
        own_replication.caught_up()
        own_replication.promote("r1")
        own_replication.follow("r2", "r1")
        own_replication.follow("p", "r1")
        wait_until(lambda: sum(writer.acknowledged for writer in writers) > before + 20, 20, "going on")
        for writer in writers:
            writer.end()
        inside.rollback()
    assert [writer.errors for writer in writers] == [[], [], [], []]
    assert balance(own_replication, "r1") == 100 + sum(writer.acknowledged for writer in writers)
    roles = wait_until(
        lambda: (found := overview(mesh)) and all(state == "in use" for _, state in found.values()) and found,
        20,
        "all in use",
    )
    assert {server: role for server, (role, _) in roles.items()} == {
        "p": "replica",
        "r1": "primary",
        "r2": "replica",
    }
    own_replication.servers["r1"].execute("INSERT INTO accounts.account VALUES (9, 9)")
    for server in ("p", "r2"):
        wait_until(lambda server=server: _has_row_nine(own_replication, server), 20, f"{server} has the row")
    with mesh.connect("bank") as connection, connection.cursor() as cursor:
        seen = set()
        for _ in range(8):
            cursor.execute("SELECT @@server_id FROM account WHERE id = 9")
            seen.add(cursor.fetchone())
    assert seen == {(1,), (3,)}, "the old primary is read now"


def test_statements_wait_for_the_successor_of_a_primary_that_died(
    own_replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(own_replication)
    with mesh.connect("bank") as connection, connection.cursor() as cursor:
        cursor.execute(ADD)
        own_replication.caught_up()
        own_replication.servers["p"].kill()
        waiting = Writer(mesh)
        waiting.start()
        wait_until(lambda: overview(mesh)["p"][1] != "in use", 10, "noticed")
        cursor.execute("SELECT balance FROM account WHERE id = 1")
        assert cursor.fetchone() == (101,), "replicas are read without a primary"
        own_replication.promote("r1")
        wait_until(lambda: waiting.acknowledged > 5 or waiting.errors, 20, "writes go on")
        waiting.end()
        # What was under way when the server died may have failed; what began afterwards has not.
        assert len(waiting.errors) <= 1
        assert balance(own_replication, "r1") == 101 + waiting.acknowledged


def test_without_a_successor_a_statement_fails_in_time_and_few_wait(
    own_replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(own_replication, failoverWaitMilliseconds=1500, failoverWaitingStatements=1)
    own_replication.servers["p"].kill()
    wait_until(lambda: overview(mesh)["p"][1] != "in use", 10, "noticed")
    waiting = Writer(mesh)
    began = time.monotonic()
    waiting.start()
    second = mesh.connect("bank")
    with second, second.cursor() as cursor:

        def refused() -> str:
            with pytest.raises(pymysql.err.MySQLError) as caught:
                cursor.execute(ADD)
            return str(caught.value)

        errors = [refused()]
        waiting.join(30)
    errors += [str(error) for error in waiting.errors]
    reasons = sorted(
        error.partition("has no primary that takes writes: ")[2].rstrip("')\"") for error in errors
    )
    assert reasons == ["none within 1.5 s", "too many statements wait for one"]
    assert time.monotonic() - began >= 1.5


def test_a_transaction_on_a_primary_that_hung_while_another_took_over_is_not_committed_there(
    own_replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(own_replication)
    hung = own_replication.servers["p"]
    with mesh.connect("bank") as connection, mesh.connect("bank") as other, other.cursor() as another:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE account SET balance = 999 WHERE id = 2")
        hung.pause()
        try:
            wait_until(lambda: overview(mesh)["p"][1] != "in use", 10, "noticed")
            own_replication.promote("r1")
            another.execute(ADD)
            assert balance(own_replication, "r1") == 101
            state = overview(mesh)["r2"][1]
            assert state in (
                "it follows a server that is not the primary",
                "it cannot reach its source",
            ), "it knows nothing of the new primary's writes"
        finally:
            hung.resume()
        with pytest.raises(pymysql.err.MySQLError, match="was lost"):
            connection.commit()
    assert hung.execute("SELECT balance FROM accounts.account WHERE id = 2") == [(200,)]


def test_what_cannot_be_given_again_fails_where_the_server_has_become_read_only(
    replication: Replication, mesh_over: MeshOf, tmp_path: Path
) -> None:
    primary = replication.servers["p"]
    primary.execute(
        "CREATE PROCEDURE accounts.two() SQL SECURITY INVOKER BEGIN UPDATE account SET balance = balance + 1 WHERE id = 2; END",
        "CREATE TABLE accounts.note (id INT PRIMARY KEY, body TEXT)",
    )
    # Nobody looks meanwhile: the statements themselves meet the server.
    mesh = mesh_over(replication, checkIntervalMilliseconds=60_000, failoverWaitMilliseconds=500)
    file = tmp_path / "rows"
    file.write_text("7\t7\n8\t8\n")
    with mesh.connect("bank", local_infile=True) as connection, RawClient(mesh.host, mesh.port) as raw:
        raw.log_in("root", "root", database="bank")
        prepared = raw.prepare("INSERT INTO note VALUES (1, ?)")
        assert not isinstance(prepared, Failure)
        primary.execute("SET GLOBAL read_only = 1")
        try:
            for statement in ("CALL two()", f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE account"):
                with connection.cursor() as cursor, pytest.raises(pymysql.err.MySQLError) as caught:
                    cursor.execute(statement)
                assert caught.value.args[0] == 1290, statement
            raw.command(COM_STMT_SEND_LONG_DATA, struct.pack("<IH", prepared[0], 0) + b"long")
            raw.command(COM_STMT_EXECUTE, execute_payload(prepared[0], [None], long_data=frozenset({0})))
            reply = raw.read_reply()
            assert isinstance(reply, Failure)
            assert reply.number == 1290
        finally:
            primary.execute(
                "SET GLOBAL read_only = 0", "DROP PROCEDURE accounts.two", "DROP TABLE accounts.note"
            )
        with connection.cursor() as cursor:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE account")
            assert cursor.execute("DELETE FROM account WHERE id IN (7, 8)") == 2
    replication.caught_up()


def _has_row_nine(replication: Replication, server: str) -> bool:
    return bool(replication.servers[server].execute("SELECT 1 FROM accounts.account WHERE id = 9"))
