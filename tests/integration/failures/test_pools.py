"""What the pools promise, seen from the servers: idle ones close, old ones are renewed, dead ones are not lent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.equivalence import ask
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.shop import global_yaml

pytestmark = pytest.mark.integration

MeshWith = Callable[..., Mesh]


@pytest.fixture
def server(own_server: ServerFactory) -> DatabaseServer:
    """A server of the test's own, with one table."""
    made = own_server("pooled")[0]
    made.execute(
        "CREATE DATABASE pooled", "CREATE TABLE pooled.t (id INT)", "INSERT INTO pooled.t VALUES (1)"
    )
    return made


@pytest.fixture
def mesh_with_pool(server: DatabaseServer, tmp_path: Path) -> Iterator[MeshWith]:
    """A mesh in front of it, with these keys of the data source and properties."""
    made: list[Mesh] = []

    def make(props: dict[str, Any] | None = None, **keys: int) -> Mesh:
        directory = tmp_path / "rules"
        directory.mkdir()
        (directory / "global.yaml").write_text(global_yaml(props))
        lines = [
            "databaseName: pooled",
            "dataSources:",
            "  only:",
            f"    url: jdbc:mysql://{server.host}:{server.port}/pooled",
            f"    username: {server.user}",
            f"    password: {server.password}",
            *(f"    {key}: {value}" for key, value in keys.items()),
            "rules: []",
        ]
        (directory / "database-pooled.yaml").write_text("\n".join(lines) + "\n")
        made.append(Mesh(directory, tmp_path / "mesh.log").start())
        return made[-1]

    yield make
    for mesh in made:
        mesh.stop_cleanly()


def _pooled(server: DatabaseServer) -> set[int]:
    """The server's ids of the mesh's connections."""
    rows = server.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = 'pooled'")
    return {row[0] for row in rows}


def _occupy(mesh: Mesh, count: int) -> None:
    """Makes the pool open `count` connections, and gives them back."""
    holders = [mesh.connect("pooled") for _ in range(count)]
    for holder in holders:
        assert ask(holder, "BEGIN").error is None
        assert ask(holder, "SELECT id FROM t").rows == ((1,),)
    for holder in holders:
        holder.close()


def test_idle_connections_close_down_to_the_minimum(server: DatabaseServer, mesh_with_pool: MeshWith) -> None:
    mesh = mesh_with_pool(minPoolSize=2, idleTimeoutMilliseconds=500)
    _occupy(mesh, 6)
    assert len(_pooled(server)) >= 2
    # The third is the one on which the process looks for transactions that others have left.
    wait_until(lambda: len(_pooled(server)) == 3, 30, "idle connections were closed")


def test_connections_are_renewed_at_their_age(server: DatabaseServer, mesh_with_pool: MeshWith) -> None:
    mesh = mesh_with_pool(maxLifetimeMilliseconds=1000)
    with mesh.connect("pooled") as connection:
        assert ask(connection, "SELECT id FROM t").rows == ((1,),)
        before = _pooled(server)

        def renewed() -> bool:
            assert ask(connection, "SELECT id FROM t").rows == ((1,),)
            return not _pooled(server) & before

        wait_until(renewed, 30, "every old connection was renewed", interval=0.2)


def test_connections_the_server_closed_for_silence_are_not_lent(
    server: DatabaseServer, mesh_with_pool: MeshWith
) -> None:
    server.execute("SET GLOBAL wait_timeout = 1")
    mesh = mesh_with_pool()
    _occupy(mesh, 4)
    with mesh.connect("pooled") as connection:
        assert ask(connection, "SELECT id FROM t").rows == ((1,),)
        wait_until(lambda: not _pooled(server), 15, "the server closed the silent connections")
        for _ in range(5):
            assert ask(connection, "SELECT id FROM t").rows == ((1,),)


def test_a_connection_killed_while_idle_is_not_lent(server: DatabaseServer, mesh_with_pool: MeshWith) -> None:
    mesh = mesh_with_pool()
    _occupy(mesh, 3)
    with mesh.connect("pooled") as connection:
        for _ in range(3):
            for number in _pooled(server):
                server.execute(f"KILL {number}")
            wait_until(lambda: not _pooled(server), 5, "killed")
            assert ask(connection, "SELECT id FROM t").rows == ((1,),)


def test_sessions_share_connections_between_statements(
    server: DatabaseServer, mesh_with_pool: MeshWith
) -> None:
    mesh = mesh_with_pool(maxPoolSize=2)
    clients = [mesh.connect("pooled") for _ in range(20)]
    for client in clients * 2:
        assert ask(client, "SELECT id FROM t").rows == ((1,),)
    # The third looks for transactions that others have left, see above.
    assert len(_pooled(server)) <= 3
    for client in clients:
        client.close()


def test_a_client_that_is_silent_too_long_is_closed(mesh_with_pool: MeshWith) -> None:
    mesh = mesh_with_pool(props={"client-idle-timeout-seconds": 1})
    with mesh.connect("pooled") as quiet, mesh.connect("pooled") as busy:
        began = time.monotonic()

        def gone() -> bool:
            assert ask(busy, "SELECT id FROM t").rows == ((1,),)
            return "closed" in _state(quiet)

        wait_until(gone, 20, "the silent client was closed", interval=0.2)
        assert time.monotonic() - began > 0.9


def _state(connection: pymysql.Connection[Any]) -> str:
    """Whether the server has closed this connection, without sending anything."""
    plain = connection._sock  # type: ignore[attr-defined]
    plain.setblocking(False)
    try:
        return "closed" if plain.recv(1) in (b"", b"\xff") else "open"
    except BlockingIOError:
        return "open"
    except OSError:
        return "closed"
    finally:
        plain.setblocking(True)


def test_what_a_server_has_set_globally_changes_no_answer(
    server: DatabaseServer, mesh_with_pool: MeshWith
) -> None:
    server.execute("SET GLOBAL sql_select_limit = 1", "SET GLOBAL autocommit = 0")
    mesh = mesh_with_pool()
    with mesh.connect("pooled") as client:
        assert ask(client, "INSERT INTO t VALUES (2), (3)").affected == 2
        assert ask(client, "SELECT id FROM t ORDER BY id").rows == ((1,), (2,), (3,))
        ask(client, "SET sql_select_limit = 2")
        assert len(ask(client, "SELECT id FROM t").rows) == 2
        ask(client, "SET sql_select_limit = DEFAULT")
        assert len(ask(client, "SELECT id FROM t").rows) == 3
    assert server.execute("SELECT COUNT(*) FROM pooled.t") == [(3,)]


@pytest.mark.parametrize("transaction", [False, True])
def test_what_cannot_be_taken_over_from_a_connection_is_nobody_elses(
    server: DatabaseServer, mesh_with_pool: MeshWith, transaction: bool
) -> None:
    server.execute("CREATE PROCEDURE tell(OUT x TEXT) SELECT 'mine' INTO x", database="pooled")
    mesh = mesh_with_pool()
    with mesh.connect("pooled") as client:
        assert ask(client, "SET @kept = 'before'").error is None
        if transaction:
            assert ask(client, "BEGIN").error is None
            assert ask(client, "CALL tell(@told)").error is None
        with pytest.raises(pymysql.err.NotSupportedError, match="bytes that are no text"):
            client.query(b"SELECT LENGTH(@kept := 'secret\xff'), LENGTH(@new := 'secret\xff') FROM t")
        # As it was, here too: the statement has failed.
        found = ask(client, "SELECT @kept, HEX(@new), @told FROM t").rows
        assert found == (("before", None, "mine" if transaction else None),)
        assert ask(client, "COMMIT").error is None
    used = _pooled(server)
    with mesh.connect("pooled") as other:
        assert ask(other, "SELECT HEX(@kept), HEX(@new), HEX(@told) FROM t").rows == ((None, None, None),)
        assert _pooled(server) == used


def test_an_isolation_level_that_a_connection_could_not_give_up_is_known(
    server: DatabaseServer, mesh_with_pool: MeshWith
) -> None:
    server.execute("CREATE PROCEDURE tell(OUT x INT) SELECT 5 INTO x", database="pooled")
    mesh = mesh_with_pool()
    with mesh.connect("pooled") as client:
        for statement in (
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "BEGIN",
            "SELECT id FROM t",
            # That of a transaction under way does not change.
            "SET SESSION tx_isolation = DEFAULT",
            "CALL tell(@told)",
            "COMMIT",
        ):
            assert ask(client, statement).error is None, statement
        assert ask(client, "SELECT @told").rows == ((5,),)
    with mesh.connect("pooled") as other:
        ask(other, "BEGIN")
        ask(other, "SELECT id FROM t")
        found = server.execute("SELECT trx_isolation_level FROM information_schema.INNODB_TRX")
        assert found == [("REPEATABLE READ",)]
