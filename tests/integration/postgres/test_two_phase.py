"""Transactions over several PostgreSQL data sources, which are prepared before they are committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest

from dbmesh.transaction.xid import FORMAT, Place
from tests.integration.postgres.conftest import configuration
from tests.plugins import shop as shop_data
from tests.plugins.mesh import Mesh
from tests.plugins.postgres import Postgres
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mesh(preparing: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Over both databases, with the table t_order."""
    directory = tmp_path_factory.mktemp("preparing")
    made = Mesh(configuration(preparing, directory / "rules"), directory / "mesh.log").start()
    with made.connect() as connection, connection.cursor() as cursor:
        (columns,) = [table.columns for table in shop_data.TABLES if table.name == "t_order"]
        cursor.execute(f"CREATE TABLE t_order ({columns})")
    yield made
    made.stop_cleanly()


INSERT = "INSERT INTO t_order VALUES (%s, %s, 'new', 1, 1, '', NULL)"


def _write_both(mesh: Mesh, order: int, end: str) -> list[str]:
    """One row on each data source in one transaction; the warnings of its end."""
    with mesh.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.executemany(INSERT, [(order, 0), (order + 1, 1)])
        cursor.execute(end)
        cursor.execute("SHOW WARNINGS")
        return [str(row) for row in cursor.fetchall()]


def _orders(mesh: Mesh, *wanted: int) -> Sequence[int]:
    with mesh.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT order_id FROM t_order WHERE order_id IN %s ORDER BY order_id", (wanted,))
        return [row[0] for row in cursor.fetchall()]


def _left(server: Postgres) -> list[str]:
    return server.execute("SELECT gid FROM pg_prepared_xacts")


def test_a_transaction_over_two_data_sources_commits_as_one(mesh: Mesh, preparing: Postgres) -> None:
    assert _write_both(mesh, 100, "COMMIT") == []
    assert _orders(mesh, 100, 101) == [100, 101]
    assert _write_both(mesh, 102, "ROLLBACK") == []
    assert _orders(mesh, 102, 103) == []
    assert _left(preparing) == []
    wait_until(
        lambda: preparing.execute("SELECT count(*) FROM dbmesh_txn", "shop_0") == ["0"], 15, "decisions"
    )


def test_what_one_data_source_refuses_is_committed_on_none(mesh: Mesh, preparing: Postgres) -> None:
    for table in range(2):
        preparing.execute(
            f"ALTER TABLE t_order_{table} ADD CONSTRAINT late_{table} UNIQUE (qty, note) DEFERRABLE INITIALLY DEFERRED",
            "shop_1",
        )
    try:
        with mesh.connect() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(INSERT, [(200, 0), (201, 1), (203, 1)])
            with pytest.raises(pymysql.err.MySQLError, match="nothing was committed"):
                cursor.execute("COMMIT")
    finally:
        for table in range(2):
            preparing.execute(f"ALTER TABLE t_order_{table} DROP CONSTRAINT late_{table}", "shop_1")
    assert _orders(mesh, 200, 201, 203) == []
    assert _left(preparing) == []


@pytest.mark.parametrize("decided", [True, False])
def test_a_branch_left_alone_ends_as_its_decider_says(mesh: Mesh, preparing: Postgres, decided: bool) -> None:
    order, gtrid = 300 + decided, f"00000000000000aa-{1 + decided}"
    signs = [Place(preparing.host, preparing.port, f"shop_{number}", "postgresql").sign for number in (0, 1)]
    # The table of decisions is made by the first transaction that needs it.
    _write_both(mesh, 310 + 2 * decided, "COMMIT")
    if decided:
        preparing.execute(
            f"INSERT INTO dbmesh_txn VALUES ('{gtrid}', 1, '{signs[1]}', extract(epoch FROM now()))", "shop_0"
        )
    preparing.execute(
        f"BEGIN; INSERT INTO t_order_{order % 2} VALUES ({order}, 1, 'left', 1, 1, ''); "
        f"PREPARE TRANSACTION 'dbmesh:{FORMAT}:{gtrid}:{signs[0]}-{signs[1]}'",
        "shop_1",
    )
    wait_until(lambda: not _left(preparing), 30, "the branch ends")
    assert _orders(mesh, order) == ([order] if decided else [])


def test_a_lock_that_nobody_gives_up_undoes_a_statement_alone(mesh: Mesh) -> None:
    _write_both(mesh, 400, "COMMIT")
    with (
        mesh.connect() as holding,
        mesh.connect() as waiting,
        holding.cursor() as other,
        waiting.cursor() as cursor,
    ):
        other.execute("BEGIN")
        other.execute("UPDATE t_order SET qty = 2 WHERE order_id = 400")
        cursor.execute("SET innodb_lock_wait_timeout = 1")
        cursor.execute("BEGIN")
        cursor.executemany(INSERT, [(410, 0), (411, 1)])
        # Nobody waits for what this one has locked on either data source: it is in no circle.
        with pytest.raises(pymysql.err.OperationalError) as found:
            cursor.execute("UPDATE t_order SET qty = 3 WHERE order_id = 400")
        assert found.value.args[0] == 1205
        cursor.execute("COMMIT")
        # Nor is a write over both by itself, which is told once, and not tried until nobody is left who could be in the way.
        with pytest.raises(pymysql.err.OperationalError) as found:
            cursor.execute("UPDATE t_order SET qty = 3 WHERE order_id IN (400, 401)")
        assert found.value.args[0] == 1205
        other.execute("ROLLBACK")
        cursor.execute("SELECT order_id, qty FROM t_order WHERE order_id IN (400, 401, 410, 411) ORDER BY 1")
        assert cursor.fetchall() == ((400, 1), (401, 1), (410, 1), (411, 1))


def test_a_deadlock_over_two_data_sources_ends_a_transaction(mesh: Mesh, preparing: Postgres) -> None:
    _write_both(mesh, 420, "COMMIT")
    with mesh.connect() as first, mesh.connect() as second:
        for session, patience, order in ((first, 2, 420), (second, 20, 421)):
            with session.cursor() as cursor:
                cursor.execute(f"SET innodb_lock_wait_timeout = {patience}")
                cursor.execute("BEGIN")
                cursor.executemany(INSERT, [(order + 10, 0), (order + 12, 1)])
                cursor.execute("UPDATE t_order SET qty = 5 WHERE order_id = %s", (order,))
        with ThreadPoolExecutor() as beside, first.cursor() as cursor, second.cursor() as other:
            late = beside.submit(other.execute, "UPDATE t_order SET qty = 6 WHERE order_id = 420")
            wait_until(
                lambda: preparing.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") != ["0"],
                10,
                "the second waits for the first",
            )
            with pytest.raises(pymysql.err.OperationalError) as found:
                cursor.execute("UPDATE t_order SET qty = 6 WHERE order_id = 421")
            assert found.value.args[0] == 1213
            late.result(30)
            other.execute("COMMIT")
            cursor.execute("SELECT order_id, qty FROM t_order WHERE order_id BETWEEN 420 AND 435 ORDER BY 1")
            assert cursor.fetchall() == ((420, 6), (421, 5), (431, 1), (433, 1))
