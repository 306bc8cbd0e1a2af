"""What a binlog tells of changed rows: exactly their keys, as the images of rows have them, whatever happens to server and follower."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.opening import open_data_source
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.catalog_loading import read_tables
from dbmesh.engine.collect import collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import MeshError, ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import ImageTable, Row, image_table
from dbmesh.reshard.binlogs.changes import followed_table
from dbmesh.reshard.binlogs.listening import Batch, Bookmark, Listener, bookmark_now, replica_ids, sources_of
from dbmesh.reshard.binlogs.rechecking import BypassingWrites
from dbmesh.rules.ruleset import DataSourceConfig
from tests.integration.reshard.conftest import fill, generations
from tests.plugins.database_server import DatabaseServer

pytestmark = pytest.mark.integration

BUSY = 8.0
"""Seconds for which a server always has more to tell."""

_TABLES = {
    "integers": (
        (
            "a TINYINT, b TINYINT UNSIGNED, c SMALLINT, d SMALLINT UNSIGNED, e MEDIUMINT, f MEDIUMINT UNSIGNED, g INT, h INT UNSIGNED, "
            "i BIGINT, j BIGINT UNSIGNED, k INT(7) ZEROFILL, l YEAR, m BIT(1), n BIT(13), o BIT(64), p BOOL"
        ),
        "abcdefghijklmnop",
    ),
    "texts": (
        (
            "skipped LONGTEXT, a CHAR(5), b VARCHAR(20), c VARCHAR(300) CHARACTER SET latin1, d BINARY(6), e VARBINARY(9), "
            "f CHAR(4) CHARACTER SET utf16, g ENUM('x','y','z'), h SET('p','q','r','s','t','u','v','w','x'), j CHAR(100) CHARACTER SET utf8mb4"
        ),
        "abcdefghj",
    ),
    "moments": (
        (
            "doc JSON, a DATE, b DATETIME, c DATETIME(1), d DATETIME(3), e DATETIME(6), f TIMESTAMP DEFAULT '2001-01-01', "
            "g TIMESTAMP(2) DEFAULT '2001-01-01', h TIMESTAMP(5) DEFAULT '2001-01-01', i TIME, j TIME(1), k TIME(4), l TIME(6)"
        ),
        "abcdefghijkl",
    ),
    "decimals": (
        (
            "x FLOAT, a DECIMAL(10,2), b DECIMAL(1,0), c DECIMAL(38,19), d DECIMAL(20,20), e DECIMAL(8,3) UNSIGNED ZEROFILL, y DOUBLE, "
            "f DECIMAL(18,9) UNSIGNED, part INT AS (b + 1) VIRTUAL"
        ),
        "abcdef",
    ),
}
_EXTREMES = {
    "integers": (
        "-128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0, 0, 0, b'0', b'0', b'0', 0",
        (
            "127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807, 18446744073709551615, 12345678, 2155, "
            "b'1', b'1111111111111', 0xffffffffffffffff, 1"
        ),
    ),
    "texts": (
        "NULL, '', '', '', '', '', '', 1, 0, ''",
        "REPEAT('long', 20000), 'ä  ', 'b  ', REPEAT('é', 300), 'ab\\0c', 'ab\\0\\0', 'é€', 'z', 'p,x', REPEAT('€', 100)",
    ),
    "moments": (
        (
            "'{}', '0000-00-00', '0000-00-00 00:00:00', '1000-01-01', '1000-01-01', '1000-01-01', '0000-00-00', '0000-00-00', "
            "'0000-00-00', '-838:59:59', '-838:59:58.9', '-00:00:00.0001', '-00:00:01.000001'"
        ),
        (
            "'[1]', '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59.9', '2024-02-29 12:34:56.789', '9999-12-31 23:59:59.999999', "
            "'2038-01-19 03:14:07', '2001-09-09 01:46:40.25', '2038-01-19 03:14:07.99999', '838:59:59', '00:00:00.5', '01:02:03.0405', '838:59:58.999999'"
        ),
    ),
    "decimals": (
        "1.5, -99999999.99, -9, -9999999999999999999.9999999999999999999, -0.99999999999999999999, 0, 2.5, 0",
        "NULL, 99999999.99, 9, 0.0000000000000000001, 0.00000000000000000001, 42.5, NULL, 999999999.000000001",
    ),
}


def _random_value(name: str, column: str, draw: random.Random) -> str:
    """Any value of a column that a key may have."""
    if name == "integers":
        bits = dict(
            zip("abcdefghijklmnop", (7, 8, 15, 16, 23, 24, 31, 32, 63, 64, 20, 0, 1, 13, 64, 1), strict=True)
        )[column]
        value = draw.getrandbits(bits) if bits else draw.choice((0, draw.randrange(1901, 2156)))
        return str(-value if column in "acegi" and draw.random() < 0.5 else value)
    if name == "texts":
        if column in "de":
            return f"x'{draw.randbytes(draw.randrange(7)).hex()}'"
        if column in "gh":
            return str(draw.randrange(1, 4) if column == "g" else draw.getrandbits(9))
        letters = "aé \\\\Z" if column != "f" else "a€é"
        return (
            "'"
            + "".join(draw.choices(letters, k=draw.randrange(5))).replace("\\\\", "\\").replace("\\", "\\\\")
            + "'"
        )
    if name == "moments":
        moment = f"20{draw.randrange(10, 38)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
        clock = f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}.{draw.randrange(1_000_000):06}"
        if column in "ijkl":
            return f"'{draw.choice(('-', ''))}{clock}'"
        return f"'{moment}'" if column == "a" else f"'{moment} {clock}'"
    whole, scale = {"a": (8, 2), "b": (1, 0), "c": (19, 19), "d": (0, 20), "e": (5, 3), "f": (9, 9)}[column]
    sign = "-" if column in "abcd" and draw.random() < 0.5 else ""
    return (
        f"{sign}{draw.randrange(10**whole)}.{draw.randrange(10**scale):0{scale or 1}}"
        if scale
        else f"{sign}{draw.randrange(10)}"
    )


@pytest.fixture(scope="module")
def server(servers: list[DatabaseServer]) -> DatabaseServer:
    """One of them, with tables that are followed and others of the same names."""
    (made, _) = servers
    made.execute(
        "CREATE DATABASE followed CHARACTER SET utf8mb4",
        "CREATE DATABASE other",
        "CREATE USER follower@'%' IDENTIFIED BY 'follower'",
        "GRANT SELECT ON followed.* TO follower@'%'",
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO follower@'%'",
    )
    for name, (columns, key) in _TABLES.items():
        made.execute(
            f"CREATE TABLE {name} ({columns}, v INT, PRIMARY KEY ({','.join(key)}))", database="followed"
        )
        made.execute(f"CREATE TABLE {name} (a INT PRIMARY KEY)", database="other")
    return made


class _Followed:
    """What is told of a server's tables while statements change them. `told` and `changed` are keys by table: what came out of the binlog,
    and what images say."""

    def __init__(self, server: DatabaseServer) -> None:
        self._own = DataSourceConfig(
            "ds_0", "mysql", server.host, server.port, "followed", server.user, server.password
        )
        # With nothing but what following takes, and over TLS where the server has it.
        self.config = replace(
            self._own, username="follower", password="follower", properties={"sslMode": "PREFERRED"}
        )
        self.told: dict[str, set[Row]] = {name: set() for name in _TABLES}
        self.changed: dict[str, set[Row]] = {name: set() for name in _TABLES}
        self.batches: list[Batch] = []
        self.images: dict[str, ImageTable] = {}
        self.connection: Connection | None = None

    async def open(self) -> None:
        """Read what there is."""
        self.connection = await open_data_source(self._own, Flavour())
        schemas = await read_tables(self.connection)
        self.images = {name: image_table(name, schemas[name]) for name in _TABLES}
        self.sources = sources_of(
            (self.config, followed_table(DataNode("ds_0", name), schemas[name], self.images[name]))
            for name in _TABLES
        )
        await self.connection.bring_to(LOAD_STATE)

    async def close(self) -> None:
        """Hang up."""
        assert self.connection is not None
        await self.connection.close()

    async def run(self, statement: str) -> None:
        """Anything at all."""
        assert self.connection is not None
        await collect(self.connection, statement.encode())

    async def _rows(self, name: str) -> set[Row]:
        assert self.connection is not None
        found = await collect(self.connection, self.images[name].query("1", lock=False).encode())
        return set(map(tuple, found.rows))

    async def change(self, name: str, statement: str) -> set[Row]:
        """Run a statement; the keys of the rows it changed."""
        before = await self._rows(name)
        await self.run(statement)
        return {self.images[name].key_of(row) for row in before ^ await self._rows(name)}

    async def change_known(self, name: str, statement: str) -> None:
        """Run a statement whose changes are to be told."""
        self.changed[name] |= await self.change(name, statement)

    async def handle(self, batch: Batch) -> None:
        """Takes what the listener found."""
        self.batches.append(batch)
        for node, keys in batch.keys.items():
            assert len(set(keys)) == len(keys)
            self.told[node.table].update(keys)

    @asynccontextmanager
    async def listening(self, start: Bookmark) -> AsyncIterator[Listener]:
        """A listener that runs."""
        tasks = TaskOwner(_raise)
        listener = Listener(self.sources, [start], replica_ids(1), self.handle)
        tasks.start(listener.run(), "listening")
        try:
            yield listener
        finally:
            await tasks.close()

    async def compare(self, listener: Listener) -> None:
        """What was told is what has changed."""
        async with asyncio.timeout(20):
            await listener.catch_up()
        assert self.told == self.changed


def _raise(error: BaseException) -> None:
    raise error


async def _with(server: DatabaseServer, work: Callable[[_Followed], Awaitable[None]]) -> None:
    followed = _Followed(server)
    await followed.open()
    try:
        await work(followed)
    finally:
        await followed.close()


def _statements(name: str, draw: random.Random) -> Iterable[str]:
    """A few that change rows of a table."""
    columns, key = _TABLES[name]
    stored = [part.split()[0] for part in _split(columns) if " AS (" not in part]
    for values in _EXTREMES[name]:
        yield f"INSERT INTO {name} ({','.join(stored)}) VALUES ({values})"
    for _ in range(25):
        column = draw.choice(key)
        values = ",".join(_random_value(name, one, draw) for one in key)
        yield draw.choice(
            (
                f"INSERT IGNORE INTO {name} ({','.join(key)}) VALUES ({values})",
                f"REPLACE INTO {name} ({','.join(key)}, v) VALUES ({values}, 1)",
                f"UPDATE {name} SET v = {draw.randrange(3)} LIMIT 5",
                f"UPDATE IGNORE {name} SET {column} = {_random_value(name, column, draw)} ORDER BY v LIMIT 2",
                f"DELETE FROM {name} ORDER BY {column} LIMIT 1",
            )
        )


def _split(columns: str) -> list[str]:
    """Definitions of columns, whose types have commas in them."""
    parts, depth, last = [], 0, 0
    for place, letter in enumerate(columns):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(columns[last:place].strip())
            last = place + 1
    return [*parts, columns[last:].strip()]


def test_keys_of_every_type(server: DatabaseServer) -> None:
    async def work(followed: _Followed) -> None:
        draw = random.Random(3)
        async with followed.listening(await bookmark_now(followed.config)) as listener:
            for image in ("FULL", "MINIMAL"):
                await followed.run(f"SET SESSION binlog_row_image = {image}")
                for name in _TABLES:
                    for statement in _statements(name, draw):
                        try:
                            followed.changed[name] |= await followed.change(name, statement)
                        except Exception as error:
                            raise AssertionError(statement) from error
                    await followed.run(f"INSERT INTO other.{name} VALUES (1)")
                    await followed.run(f"DELETE FROM other.{name}")
                    await followed.compare(listener)
                    followed.changed[name] |= await followed.change(name, f"DELETE FROM {name}")
            await followed.compare(listener)
            assert min(map(len, followed.told.values())) > 20

    asyncio.run(_with(server, work))


async def _insert(followed: _Followed, name: str, count: int) -> None:
    """Rows with all their keys."""
    draw = random.Random(count)
    key = _TABLES[name][1]
    for _ in range(count):
        values = ",".join(_random_value(name, one, draw) for one in key)
        await followed.change_known(name, f"INSERT IGNORE INTO {name} ({','.join(key)}) VALUES ({values})")


def test_transactions_and_statements(server: DatabaseServer) -> None:
    async def work(followed: _Followed) -> None:
        change = followed.change_known
        async with followed.listening(await bookmark_now(followed.config)) as listener:
            await _insert(followed, "decimals", 5)
            await followed.compare(listener)
            # What is rolled back is not told.
            await followed.run("BEGIN")
            await followed.run("UPDATE decimals SET v = 7")
            await followed.run("ROLLBACK")
            await followed.run("BEGIN")
            await change("decimals", "UPDATE decimals SET v = 8 LIMIT 1")
            await followed.run("SAVEPOINT one")
            await followed.run("INSERT INTO decimals (a, b, c, d, f) VALUES (1, 1, 1, 0, 1)")
            await followed.run("ROLLBACK TO one")
            await change("decimals", "UPDATE decimals SET a = a + 1 ORDER BY a LIMIT 2")
            await followed.run("COMMIT")
            await followed.compare(listener)
            # Of a transaction that is prepared, only when it is committed.
            for xid, end in (("'a'", "COMMIT"), ("'b',x'00ff',7", "ROLLBACK"), ("x'cd'", "COMMIT")):
                await followed.run(f"XA START {xid}")
                changed = await followed.change("decimals", "UPDATE decimals SET v = v * 2 + 1, c = c / 2")
                await followed.run(f"XA END {xid}")
                before = listener.progress()[0]
                await followed.run(f"XA PREPARE {xid}")
                await followed.compare(listener)
                await followed.run(f"XA {end} {xid}")
                if end == "COMMIT":
                    followed.changed["decimals"] |= changed
                await followed.compare(listener)
                (after,) = listener.progress()
                assert after.bookmark.position.order > before.bookmark.position.order
                assert after.prepared == 0
            await followed.run(
                "SELECT n, 1, n, 0, 1, n INTO OUTFILE 'more.txt' FROM (SELECT 71 n UNION SELECT 72) t"
            )
            await change("decimals", "LOAD DATA INFILE 'more.txt' INTO TABLE decimals (a, b, c, d, e, f)")
            await followed.compare(listener)
            # Many rows at once, long ones and compressed ones.
            if server.product == "MariaDB":
                await followed.run("SET GLOBAL log_bin_compress = ON")
            await change(
                "texts",
                "INSERT INTO texts (skipped, a, b, c, d, e, f, g, h, j) WITH RECURSIVE n AS (SELECT 1 x UNION ALL "
                "SELECT x + 1 FROM n WHERE x < 900) SELECT REPEAT('x', 3000), x, x, x, x, x, x, 1, 0, x FROM n",
            )
            await followed.compare(listener)
            assert not any(batch.statements for batch in followed.batches)
            (progress,) = listener.progress()
            assert progress.lag == 0
            assert progress.problem == ""
            assert progress.keys == sum(
                len(keys) for batch in followed.batches for keys in batch.keys.values()
            )

            # What says nothing of rows is named.
            await followed.run("TRUNCATE TABLE texts")
            await followed.run("TRUNCATE TABLE other.texts")
            await followed.run("SET SESSION binlog_format = STATEMENT")
            await followed.run("DELETE FROM integers WHERE a = 1")
            await followed.compare(listener)
            told = [text for batch in followed.batches for text in batch.statements]
            assert [text.split("/*")[0].strip() for text in told] == [
                "followed: TRUNCATE TABLE texts",
                "followed: TRUNCATE TABLE other.texts",
                "followed: DELETE FROM integers WHERE a = 1",
            ]

    asyncio.run(_with(server, work))


def test_how_far_behind_it_is(server: DatabaseServer) -> None:
    async def work(followed: _Followed) -> None:
        now = asyncio.get_running_loop().time
        start = await bookmark_now(followed.config)
        await followed.run("SET timestamp = UNIX_TIMESTAMP() - 100")
        await followed.run("REPLACE INTO decimals (a, b, c, d, f, v) VALUES (7, 7, 7, 0, 7, 0)")
        await followed.run("SET timestamp = DEFAULT")
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def handle(batch: Batch) -> None:
            entered.set()
            await go_on.wait()
            # Slow, and fast enough.
            await asyncio.sleep(0.05)

        tasks = TaskOwner(_raise)
        listener = Listener(followed.sources, [start], replica_ids(1), handle)
        tasks.start(listener.run(), "listening")
        async with asyncio.timeout(60):
            # Who has just begun does not know when nothing was left, but what is under way.
            await entered.wait()
            assert 95 < listener.progress()[0].lag < 130
            go_on.set()
            await listener.catch_up()
        began, seen = now(), [0.0]
        while now() - began < BUSY:
            await followed.run("UPDATE decimals SET v = v + 1 WHERE a = 7 AND b = 7")
            seen.append(listener.progress()[0].lag)
        # There was something left all the time, never for long.
        assert 0 < max(seen) < BUSY / 2
        async with asyncio.timeout(60):
            await listener.catch_up()
        assert listener.progress()[0].lag == 0
        await tasks.close()

    asyncio.run(_with(server, work))


def test_following_again(server: DatabaseServer) -> None:
    """After the follower, the server, or both were away."""

    async def work(followed: _Followed) -> None:
        change = followed.change_known
        start = await bookmark_now(followed.config)
        async with followed.listening(start) as listener:
            await _insert(followed, "moments", 10)
            await followed.compare(listener)
            (progress,) = listener.progress()
        # While nobody listens: into the next file of the log.
        await change("moments", "UPDATE moments SET v = 3 LIMIT 4")
        await followed.run("FLUSH BINARY LOGS")
        await change("moments", "DELETE FROM moments LIMIT 1")
        await followed.run("XA START 'kept'")
        pending = await followed.change("moments", "DELETE FROM moments LIMIT 1")
        await followed.run("XA END 'kept'")
        await followed.run("XA PREPARE 'kept'")
        followed.told = {name: set() for name in _TABLES}
        async with followed.listening(progress.bookmark) as listener:
            async with asyncio.timeout(20):
                await listener.catch_up()
            assert len(followed.told["moments"]) == 4
            (progress,) = listener.progress()
            assert progress.prepared == 1
            await followed.close()
            await asyncio.to_thread(_restart, server)
            await followed.open()
            await followed.run("XA COMMIT 'kept'")
            await change("moments", "UPDATE moments SET v = 4")
            async with asyncio.timeout(20):
                await listener.catch_up()
            assert pending <= followed.told["moments"]
            (after,) = listener.progress()
            assert after.prepared == 0
        # Everything once more: the same.
        followed.told = {name: set() for name in _TABLES}
        async with followed.listening(start) as listener:
            async with asyncio.timeout(20):
                await listener.catch_up()
            assert pending <= followed.told["moments"]
            assert len(followed.told["moments"]) == 10
        wrong = start._replace(server="another")
        server.execute("REVOKE REPLICATION SLAVE ON *.* FROM follower@'%'")
        with pytest.raises(ShardError, match="Access denied"):
            await Listener(followed.sources, [start], replica_ids(1), followed.handle).run()
        astray = Listener(followed.sources, [wrong], replica_ids(1), followed.handle)
        with pytest.raises(MeshError, match="another server"):
            await astray.run()
        await followed.run("FLUSH BINARY LOGS")
        with pytest.raises(MeshError, match="not followed any more"):
            await astray.catch_up()

    asyncio.run(_with(server, work))


def test_writes_that_bypass_the_mesh_are_repaired(servers: list[DatabaseServer]) -> None:
    """Those that go through it are found equal, however long their transactions take to commit on both sides."""
    fill(servers, 80)

    async def work() -> None:
        async with generations(servers) as both:
            sources = sources_of(both.followed)
            start = [await bookmark_now(one.config) for one in sources]
            await both.copy(100)
            writes = BypassingWrites({table.node: both.rechecker for _, table in both.followed})
            listener = Listener(sources, start, replica_ids(2), writes.handle)
            both.tasks.start(listener.run(), "listening")
            for number in range(12):
                await both.old.run("BEGIN")
                await both.old.run(
                    f"UPDATE t_order SET note = '{number}', amount = NULL WHERE order_id > {number * 2}"
                )
                await both.old.run(f"DELETE FROM t_order WHERE order_id = {number + 40}")
                await both.old.run("COMMIT")
            await listener.catch_up()
            done = writes.counts["t_order"]
            assert done.keys > 80
            assert done.repaired == 0
            old, new = await both.rows()
            assert old == new
            servers[1].execute(
                "UPDATE t_order_0 SET note = 'behind its back' WHERE order_id IN (2, 4)",
                "INSERT INTO t_order_1 (order_id, user_id, note) VALUES (901, 1, 'new'), (903, 3, 'new')",
                "DELETE FROM t_order_1 WHERE order_id = 5",
                "UPDATE t_order_1 SET user_id = 33 WHERE order_id = 7",
                database="moving_1",
            )
            await both.old.run("UPDATE t_order SET note = 'both' WHERE order_id = 9")
            await listener.catch_up()
            old, new = await both.rows()
            assert old == new
            assert sum(row[2] == b"behind its back" for row in old) == 2
            done = writes.counts["t_order"]
            # One that was given another sharding key is another row.
            assert done.repaired == 7

    asyncio.run(work())


def _restart(server: DatabaseServer) -> None:
    server.kill()
    server.start()
    server.wait_ready()
