"""What a connection to PostgreSQL is believed to have been told, it has, whatever became of the transactions in which it was told: PostgreSQL
takes back at a ROLLBACK what was SET, MySQL's variables stay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbmesh.backend.connection import Flavour
from dbmesh.backend.postgres.connection import PostgresConnection
from dbmesh.backend.state import ISOLATION, SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig
from tests.plugins.postgres import Postgres

pytestmark = pytest.mark.integration

_DATABASE = "told"
_BRANCH = "'told','a',1"
_WAITS = st.sampled_from(("", "1", "7", "1073741824"))
_STATEMENTS = st.sampled_from(
    (
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "COMMIT",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "ROLLBACK AND CHAIN",
        "SAVEPOINT a",
        "SAVEPOINT b",
        "ROLLBACK TO a",
        "ROLLBACK TO SAVEPOINT b",
        "RELEASE SAVEPOINT a",
        "CREATE TABLE made (id INT)",
        "DROP TABLE made",
        "INSERT INTO own (id) VALUES (1)",
        # Refused at once, when it is committed, and so that the transaction is rolled back.
        "INSERT INTO own (id) VALUES (0)",
        "INSERT INTO later (id) VALUES (0)",
        "INSERT INTO undone (id) VALUES (1)",
        f"XA START {_BRANCH}",
        f"XA END {_BRANCH}",
        f"XA PREPARE {_BRANCH}",
        f"XA COMMIT {_BRANCH} ONE PHASE",
        f"XA COMMIT {_BRANCH}",
        f"XA ROLLBACK {_BRANCH}",
    )
)
_LEVELS = st.sampled_from(("", "ISOLATION LEVEL READ COMMITTED", "ISOLATION LEVEL SERIALIZABLE"))
_STEPS = st.lists(st.one_of(_STATEMENTS, st.tuples(_WAITS, _LEVELS)), max_size=25)


@pytest.fixture(scope="module")
def server(preparing: Postgres) -> Postgres:
    """With tables whose rows are refused in several ways."""
    preparing.execute(f"CREATE DATABASE {_DATABASE}")
    for statement in (
        "CREATE TABLE own (id int PRIMARY KEY)",
        "CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE undone (id int)",
        "INSERT INTO own VALUES (0)",
        "INSERT INTO later VALUES (0)",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE serialization_failure; END$$",
        "CREATE TRIGGER refusing BEFORE INSERT ON undone FOR EACH ROW EXECUTE FUNCTION refuse()",
    ):
        preparing.execute(statement, _DATABASE)
    return preparing


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One for all examples."""
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.close()


async def _open(server: Postgres) -> PostgresConnection:
    config = DataSourceConfig(
        "ds_0", "postgresql", server.host, server.port, _DATABASE, server.user, server.password
    )
    return await PostgresConnection.open(config, Flavour())


async def _run(connection: PostgresConnection, statement: str) -> None:
    """However it ends."""
    try:
        await collect(connection, statement.encode())
    except (ShardError, MeshError):
        assert connection.usable, statement


def _state(wait: str, level: str) -> SessionState:
    state = SessionState()
    if wait:
        state = state.with_variable("innodb_lock_wait_timeout", wait)
    return state.with_variable(ISOLATION, level) if level else state


async def _given_up(connection: PostgresConnection) -> bool:
    """Whether PostgreSQL lets nothing be done in the transaction that is open but to end it."""
    try:
        await connection.own("SELECT 1")
    except ShardError:
        assert connection.in_transaction
        return True
    return False


async def _check(connection: PostgresConnection, told: object) -> None:
    ((waits, level),) = await connection.own(
        "SELECT (SELECT setting::bigint FROM pg_settings WHERE name = 'lock_timeout'), current_setting('transaction_isolation')"
    )
    seconds = int(connection.state.variable("innodb_lock_wait_timeout") or 50)
    assert waits == min(seconds * 1000, 2**31 - 1), told
    if told in ("BEGIN", f"XA START {_BRANCH}"):
        named = connection.state.variable(ISOLATION) or "ISOLATION LEVEL REPEATABLE READ"
        assert named.removeprefix("ISOLATION LEVEL ").lower() == level, told


async def _carry_out(server: Postgres, steps: Sequence[str | tuple[str, str]]) -> None:
    connection = await _open(server)
    try:
        for step in steps:
            # What is open already goes on as it began.
            begins = not connection.in_transaction
            if isinstance(step, str):
                await _run(connection, step)
            elif not await _given_up(connection):
                await connection.bring_to(_state(*step))
            if not await _given_up(connection):
                await _check(connection, step if begins else "")
        for ending in ("ROLLBACK", f"XA ROLLBACK {_BRANCH}", "DROP TABLE made"):
            await _run(connection, ending)
            await _check(connection, ending)
    finally:
        await connection.close()


def test_what_it_was_told_it_has(server: Postgres, loop: asyncio.AbstractEventLoop) -> None:
    @given(_STEPS)
    @example(["BEGIN", ("1", ""), "ROLLBACK"])
    @example([("7", ""), "BEGIN", "SAVEPOINT a", ("1", ""), "ROLLBACK TO a", "COMMIT"])
    @example(["BEGIN", ("1", ""), "INSERT INTO later (id) VALUES (0)", "COMMIT"])
    @example(["BEGIN", ("1", ""), "INSERT INTO undone (id) VALUES (1)"])
    @example(["BEGIN", ("1", ""), "ROLLBACK AND CHAIN", "ROLLBACK"])
    @example([f"XA START {_BRANCH}", ("1", ""), f"XA END {_BRANCH}", f"XA ROLLBACK {_BRANCH}"])
    @example([f"XA START {_BRANCH}", ("1", ""), f"XA PREPARE {_BRANCH}", f"XA ROLLBACK {_BRANCH}"])
    @settings(deadline=None, max_examples=150)
    def carried_out(steps: list[str | tuple[str, str]]) -> None:
        loop.run_until_complete(_carry_out(server, steps))

    carried_out()


async def test_what_may_have_been_told_is_used_by_nobody(server: Postgres) -> None:
    connection = await _open(server)
    tasks = TaskOwner(lambda error: None)
    tasks.start(connection.bring_to(_state("1", "")), "telling")
    await asyncio.sleep(0)
    await tasks.close()
    assert not connection.usable
    await connection.close()


async def test_a_transaction_that_was_given_up_takes_nothing_over(server: Postgres) -> None:
    connection = await _open(server)
    await collect(connection, b"BEGIN")
    with pytest.raises(ShardError):
        await connection.own("SELECT no_such_column")
    with pytest.raises(ShardError):
        await connection.bring_to(_state("1", "ISOLATION LEVEL SERIALIZABLE"))
    assert connection.state.variable("innodb_lock_wait_timeout") is None
    await collect(connection, b"ROLLBACK")
    await _check(connection, "")
    await collect(connection, b"BEGIN")
    await _check(connection, "BEGIN")
    await collect(connection, b"ROLLBACK")
    await connection.close()
