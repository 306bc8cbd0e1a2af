"""Transactions over several PostgreSQL data sources, which are prepared before they are committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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
def preparing() -> Iterator[Postgres]:
    """A server that prepares transactions."""
    with TemporaryDirectory(prefix="dbmesh-postgres-") as directory:
        Path(directory).chmod(0o711)
        server = Postgres(Path(directory) / "server", ["max_prepared_transactions=16"])
        try:
            server.start()
            for number in (0, 1):
                server.execute(f"CREATE DATABASE shop_{number}")
            yield server
        finally:
            server.stop()


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
