"""Rows are copied value for value, and whatever is written while that goes on is on both sides when a transaction ends."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbmesh.backend.connection import Connection
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.reshard.rows import reconcile
from dbmesh.reshard.rows.chunks import ChunkJournal
from dbmesh.reshard.rows.copying import TableCopy
from dbmesh.reshard.rows.pacing import Pacing, read_load
from dbmesh.reshard.rows.throttle import Limits, Throttle
from dbmesh.session.rule_view import give_up
from dbmesh.session.session import Session
from dbmesh.session.statements import doubled
from dbmesh.session.statements.doubled import Doubling
from tests.integration.reshard.conftest import Generations, fill, generations
from tests.plugins.database_server import DatabaseServer

pytestmark = pytest.mark.integration

_NOTES = ("'a'", "'é'", "NULL", "'x\\'y'", "CONCAT('n', 1 + 1)", "''", "_latin1 x'e4'")
_FORMS: tuple[str, ...] = (
    "INSERT INTO t_order VALUES {row}",
    "INSERT INTO t_order VALUES {row}, {row}, {row}",
    "INSERT IGNORE INTO t_order VALUES {row}, {row}",
    "REPLACE INTO t_order VALUES {row}",
    "INSERT INTO t_order (order_id, user_id, note) VALUES ({key}, {user}, {note}) ON DUPLICATE KEY UPDATE note = CONCAT(COALESCE(note, ''), '+'), amount = amount + 1",
    "INSERT INTO t_order SELECT order_id + {far}, user_id, note, amount, at, moment, raw, ratio FROM t_order WHERE {where} LIMIT 3",
    "UPDATE t_order SET note = {note} WHERE {where}",
    "UPDATE t_order SET amount = amount + 1, at = NOW(3) WHERE {where} ORDER BY order_id, user_id LIMIT 2",
    "UPDATE t_order SET user_id = user_id + 1 WHERE {where}",
    "UPDATE t_order SET order_id = order_id + {far} WHERE {where}",
    "UPDATE t_order a JOIN t_order b ON a.user_id = b.user_id SET a.note = 'j' WHERE b.order_id = {key}",
    "DELETE FROM t_order WHERE {where} ORDER BY order_id, user_id LIMIT 2",
    "DELETE FROM t_order WHERE order_id = {key}",
    "DELETE a FROM t_order a JOIN t_order b ON a.user_id = b.user_id WHERE b.order_id = {key} AND a.order_id > 40",
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
)
_WHERE: tuple[str, ...] = (
    "order_id = {key}",
    "order_id IN ({key}, {key}, {key})",
    "user_id = {user}",
    "order_id > {key} AND user_id < {user}",
    "note LIKE 'a%'",
    "order_id = (SELECT MAX(order_id) FROM t_order x WHERE x.order_id < {key})",
    "amount > {key}.5",
)


def _statement(draw: random.Random) -> str:
    """One random statement."""
    text = draw.choice(_FORMS)
    parts: dict[str, Callable[[], str]] = {
        "{where}": lambda: draw.choice(_WHERE),
        "{row}": lambda: (
            "({key}, {user}, {note}, "
            + draw.choice(("1.5", "NULL", "2 + 3"))
            + ", "
            + draw.choice(("NULL", "NOW(3)", "'2024-01-02 03:04:05.678'"))
            + ", "
            + draw.choice(("NULL", "NOW()", "'2024-10-27 02:30:00'"))
            + ", "
            + draw.choice(("NULL", "x'00ff'", "UUID()"))
            + ", {key} / 3)"
        ),
        "{key}": lambda: str(draw.randrange(1, 60)),
        "{user}": lambda: str(draw.randrange(1, 20)),
        "{note}": lambda: draw.choice(_NOTES),
        "{far}": lambda: str(draw.randrange(60, 200)),
    }
    for name, make in parts.items():
        while name in text:
            text = text.replace(name, make(), 1)
    return text


async def _write_at_random(both: Generations, seed: int, count: int) -> int:
    """Run statements, and compare whenever no transaction is open. Returns how many were run without an error."""
    draw, opened, done = random.Random(seed), False, 0
    for statement in [*(_statement(draw) for _ in range(count)), "COMMIT"]:
        try:
            await both.old.run(statement)
            done += 1
        except ShardError as error:
            if error.number not in (1062, 1305):
                # A key that is taken, a savepoint nobody has set: as on one server.
                raise
        else:
            opened = statement == "BEGIN" or (opened and statement not in ("COMMIT", "ROLLBACK"))
        if not opened:
            old, new = await both.rows()
            assert old == new, statement
    return done


def test_rows_are_copied_and_kept_equal(servers: list[DatabaseServer]) -> None:
    fill(servers, 60)

    async def work() -> None:
        async with generations(servers) as both:
            assert await both.copy(7) == 120
            old, new = await both.rows()
            assert old == new
            assert await both.copy(50) == 0, "nothing is to be done again"
            assert await _write_at_random(both, 1, 150) > 100

    asyncio.run(work())


def test_writes_and_copying_at_one_time(
    servers: list[DatabaseServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row gets there by whichever comes first, and whatever a process that is killed had begun, by another."""
    fill(servers, 300)
    monkeypatch.setattr(reconcile, "MOST_BYTES", 500)

    async def work() -> None:
        store = await EmbeddedStore.open(tmp_path / "store.db", time.monotonic)
        async with generations(servers) as both:
            draw = random.Random(5)
            pools = {node.data_source: pool for node, pool in both.sources.items()}
            pacing = Pacing(Throttle(Limits(rate=5_000)), lambda: read_load(pools, pools))

            async def copy_all() -> None:
                lease = await store.grant(100)
                killed = ChunkJournal(store, "7", "t_order", "killed", lease)
                await killed.begin(list(both.sources))
                assert await killed.cut((await killed.look()).rests[1], (b"150", b"10")) is not None
                await store.revoke(lease)
                journal = ChunkJournal(store, "7", "t_order", "here", await store.grant(100))
                await TableCopy(list(both.sources), both.reconciler, journal, pacing).run(3)
                outlook = await journal.look()
                assert outlook.through
                load = pacing.throttle.load
                assert (set(load.running), load.lag, load.silent) == (set(pools), {}, frozenset())
                assert outlook.counts.rows >= 500

            copying, done = both.tasks.start(copy_all(), "copying"), 0
            while not copying.done():
                key, user = draw.randrange(1, 300), draw.randrange(0, 20)
                forms = (
                    f"UPDATE t_order SET note = 'changed {done}' WHERE order_id = {key}",
                    f"DELETE FROM t_order WHERE order_id = {key}",
                    f"REPLACE INTO t_order (order_id, user_id, note) VALUES ({key}, {user}, 'new {done}')",
                    f"UPDATE t_order SET user_id = user_id + 20 WHERE order_id = {key}",
                )
                await both.old.run(draw.choice(forms))
                done += 1
            await copying
            await store.close()
            assert done > 20
            old, new = await both.rows()
            assert old == new

    asyncio.run(work())


def test_what_differs_is_repaired(servers: list[DatabaseServer]) -> None:
    fill(servers, 40)

    async def work() -> None:
        async with generations(servers) as both:
            await both.copy(100)
            for statement in (
                "UPDATE t_order SET note = 'wrong' WHERE order_id IN (3, 4)",
                "DELETE FROM t_order WHERE order_id = 5",
                "INSERT INTO t_order (order_id, user_id) VALUES (900, 1)",
            ):
                await both.new.run(statement)
            chunks = [await both.reconciler.chunk(node, None, 100) for node in both.sources]
            assert sum(one.written for one in chunks) == 6
            keys = (await both.new.run("SELECT order_id, user_id FROM t_order WHERE order_id > 800")).rows
            chunk = await both.reconciler.keys(list(map(tuple, keys)))
            assert (chunk.rows, chunk.written, chunk.removed) == (0, 0, 1)
            old, new = await both.rows()
            assert old == new

    asyncio.run(work())


def test_rows_that_others_have_locked_and_long_ones_come_in_smaller_chunks(
    servers: list[DatabaseServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(servers, 40)

    async def work() -> None:
        async with generations(servers) as both:
            node = next(iter(both.sources))
            await both.old.run("BEGIN")
            await both.old.run("UPDATE t_order SET note = 'late' WHERE order_id = 8 AND user_id = 8")
            chunk = await both.reconciler.chunk(node, None, 16)
            assert (chunk.rows, chunk.last) == (2, (b"4", b"4")), "not the fourth row, which is somebody's"
            await both.old.run("COMMIT")
            # Somebody has locked a new row: clients do not wait for the old ones meanwhile.
            with servers[0].connect("moving_0") as blocking, blocking.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("INSERT INTO t_order_2 (order_id, user_id) VALUES (14, 4), (10, 10)")

                async def copy_one() -> None:
                    await both.reconciler.chunk(node, (b"8", b"8"), 4)

                copying = both.tasks.start(copy_one(), "copying")
                for _ in range(20):
                    await both.old.run("UPDATE t_order SET amount = amount + 1 WHERE order_id = 12")
                assert not copying.done()
                blocking.rollback()
                await copying
            monkeypatch.setattr(reconcile, "MOST_BYTES", 250)
            after, sizes, rows = None, [], 0
            while True:
                chunk = await both.reconciler.chunk(node, after, 100, (b"30", b"10"))
                sizes.append(chunk.size)
                rows += chunk.rows
                if (after := chunk.last) is None:
                    break
            assert rows == 15
            assert [size < 400 for size in sizes] == [True] * 4

    asyncio.run(work())


def test_a_write_that_fails_on_one_side_is_undone_on_both(servers: list[DatabaseServer]) -> None:
    fill(servers, 10)
    servers[0].execute("ALTER TABLE t_order_0__s7 ADD UNIQUE (note)", database="moving_0")

    async def work() -> None:
        async with generations(servers) as both:
            await both.copy(100)
            # Somebody else's row, in the place of one that is to come.
            await both.new.run("INSERT INTO t_order (order_id, user_id) VALUES (700, 2)")
            await both.new.run("UPDATE t_order SET note = 'taken' WHERE order_id = 700")
            await both.old.run("BEGIN")
            await both.old.run("UPDATE t_order SET note = 'kept' WHERE order_id = 4 AND user_id = 4")
            with pytest.raises(ShardError) as raised:
                await both.old.run("INSERT INTO t_order (order_id, user_id, note) VALUES (712, 2, 'taken')")
            assert raised.value.number == 1062
            await both.old.run("COMMIT")
            await both.new.run("DELETE FROM t_order WHERE order_id = 700")
            old, new = await both.rows()
            assert old == new
            assert [row[2] for row in old if row[0] == b"4" and row[1] == b"4"] == [b"kept"]
            assert not any(row[0] == b"712" for row in old)

    asyncio.run(work())


def test_what_would_change_one_side_alone_is_refused(servers: list[DatabaseServer]) -> None:
    fill(servers, 10)

    async def work() -> None:
        async with generations(servers) as both:
            await both.copy(100)
            for statement in (
                "TRUNCATE TABLE t_order",
                "ALTER TABLE t_order ADD COLUMN more INT",
                "DROP TABLE t_order",
            ):
                with pytest.raises(ShardError, match="'t_order', whose rows are being moved"):
                    await both.old.run(statement)
            await both.old.run("SET dbmesh_transaction_type = 'BASE'")
            with pytest.raises(ShardError, match="a BASE transaction to a table whose rows are being moved"):
                await both.old.run("UPDATE t_order SET note = 'base' WHERE order_id = 4")
            await both.old.run("SET dbmesh_transaction_type = 'XA'")
            # A limit of what is shown limits no write.
            await both.old.run("SET sql_select_limit = 1")
            await both.old.run("UPDATE t_order SET note = 'all' WHERE order_id IN (1, 2, 3)")
            await both.old.run("SET sql_select_limit = DEFAULT")
            old, new = await both.rows()
            assert old == new
            assert [row[2] for row in old].count(b"all") == 6

    asyncio.run(work())


class _Ended:
    """An exchange that has ended, and nobody has been told yet: to interrupt it stops nothing."""

    def interrupt(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def busy_connections(self) -> list[Connection]:
        return []


def test_a_write_that_is_given_up_between_both_sides_is_on_neither(
    servers: list[DatabaseServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it would be a transaction of its own."""
    write_through = doubled._write_through

    async def work() -> None:
        async with generations(servers) as both:
            reached, go = asyncio.Event(), asyncio.Event()

            async def slowly(session: Session, doubling: Doubling, send: doubled.Send) -> None:
                session.announce(_Ended())
                reached.set()
                await go.wait()
                await write_through(session, doubling, send)

            monkeypatch.setattr(doubled, "_write_through", slowly)
            statement = "INSERT INTO t_order (order_id, user_id) VALUES (4001, 2)"
            writing = asyncio.get_running_loop().create_task(both.old.run(statement))
            await reached.wait()
            ending = asyncio.get_running_loop().create_task(give_up(both.old.session, "rules changed"))
            await asyncio.sleep(0)
            go.set()
            await ending
            with pytest.raises((MeshError, ShardError)):
                await writing
            monkeypatch.undo()
            # It was told why, and was a transaction of its own.
            for client in (both.old, both.new):
                assert (await client.run("SELECT COUNT(*) FROM t_order WHERE order_id = 4001")).rows == [
                    [b"0"]
                ]

    fill(servers, 20)
    asyncio.run(work())
