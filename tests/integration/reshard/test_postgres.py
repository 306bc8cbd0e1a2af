"""Jobs on PostgreSQL data sources: from plan to finish under clients that write and read, with every row compared; rows changed behind the
mesh's back; a sidecar that is killed while it copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymysql
import pytest

from dbmesh.reshard.jobs.job import Phase
from tests.chaos.reshard.kills import Case, Kills
from tests.chaos.reshard.moments import moment
from tests.chaos.reshard.postgres_stage import ELSEWHERE, PostgresStage, open_postgres_stage
from tests.chaos.reshard.writers import Client, going_on, seen_wrong
from tests.plugins.postgres import Postgres
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 2_000


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server that prepares transactions."""
    with TemporaryDirectory(prefix="dbmesh-postgres-") as directory:
        Path(directory).chmod(0o711)
        server = Postgres(Path(directory) / "server", ["max_prepared_transactions=64"])
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def writing(stage: PostgresStage, first: int = 0, sidecars: Sequence[int] = (0, 1)) -> Iterator[list[Client]]:
    """Clients that go on for the block; afterwards none has seen anything wrong."""

    def connect(sidecar: int) -> Callable[[], Any]:
        return lambda: stage.connect(sidecar)

    made = [
        Client(number, connect(sidecars[number % len(sidecars)]), 7, pause=0.01)
        for number in range(first, first + 6)
    ]
    with going_on(made):
        yield made
    assert not seen_wrong(made)


def more(clients: Sequence[Client], count: int) -> None:
    """Wait until each has run so many statements more."""
    before = [len(client.stalls) for client in clients]
    wait_until(
        lambda: all(
            len(client.stalls) >= least + count or client.errors
            for client, least in zip(clients, before, strict=True)
        ),
        90,
        "more statements",
    )


def held(clients: Sequence[Client]) -> dict[int, tuple[int, int, str]]:
    """What all tables hold together."""
    rows = {id_: row for client in clients for id_, row in client.known.items()}
    return rows | {id_: (id_ // 2 % 4, 0, f"old {id_}") for id_ in range(1, ROWS + 1)}


@pytest.mark.parametrize("by_source", ["", ELSEWHERE], ids=["inside", "across"])
def test_from_plan_to_finish(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, by_source: str
) -> None:
    with open_postgres_stage(
        [postgres], tmp_path_factory.mktemp("moving"), rows=ROWS, by_source=by_source
    ) as stage:
        planned = stage.reshard("plan", str(stage.after))
        assert "writes that bypass the mesh are found by verification only" in planned
        with writing(stage) as clients:
            more(clients, 20)
            stage.start()
            status = stage.status()
            assert (status["phase"], status["stopped"]) == ("ready", ""), status
            assert status["progress"]["tables"]["item"]["verified"] >= ROWS
            number = status["number"]
            for verb, phase in (
                ("cutover", "reverse double write"),
                ("rollback", "ready"),
                ("cutover", "reverse double write"),
            ):
                more(clients, 20)
                stage.reshard(verb)
                assert stage.status()["phase"] == phase
            more(clients, 20)
        assert stage.new_rows(number) == held(clients)
        assert stage.old_rows(number) == held(clients)
        with writing(stage, 10) as later:
            more(later, 20)
            stage.reshard("finish")
            more(later, 20)
        assert stage.status()["phase"] == "finished"
        assert stage.rows([f"item_{table}" for table in range(4)]) == held([*clients, *later])
        for names in stage.tables():
            assert names - {"dbmesh_txn"} == {"dbmesh_tables", *(f"item_{table}" for table in range(4))}
        json.loads(stage.reshard("list", "--json"))


@pytest.fixture
def ready(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresStage]:
    """A job whose sides are equal."""
    with open_postgres_stage([postgres], tmp_path_factory.mktemp("ready"), rows=400) as stage:
        stage.start()
        assert stage.status()["phase"] == "ready"
        yield stage


def test_rows_changed_behind_the_mesh_are_found_and_repaired(ready: PostgresStage) -> None:
    stage, number = ready, ready.status()["number"]
    stage.own(0, f"UPDATE item_0__s{number} SET n = 7 WHERE id = 8")
    stage.own(0, f"DELETE FROM item_0__s{number} WHERE id = 16")
    stage.own(0, "INSERT INTO item_2 VALUES (90000, 2, 0, 'nobody''s')")
    # Nobody follows the old side either.
    stage.own(1, "UPDATE item_0 SET n = 9 WHERE id = 1")
    assert stage.new_rows(number) != stage.old_rows(number)
    stage.reshard("verify")
    status = stage.status()
    assert (status["phase"], status["stopped"]) == ("ready", "")
    found = status["progress"]["tables"]["item"]
    assert sorted(found["differing"]) == ["1, 0", "16, 0", "8, 0", "90000, 2"]
    assert found["repaired"] == 4
    assert stage.new_rows(number) == stage.old_rows(number)
    assert stage.old_rows(number)[1] == (0, 9, "old 1")


def test_a_level_of_isolation_that_would_miss_copied_rows_is_refused(ready: PostgresStage) -> None:
    with ready.connect(0) as connection, connection.cursor() as cursor:
        for level, works in (("REPEATABLE READ", False), ("SERIALIZABLE", False), ("READ COMMITTED", True)):
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            cursor.execute("BEGIN")
            if works:
                cursor.execute("UPDATE item SET n = n + 1 WHERE id = 4")
            else:
                with pytest.raises(pymysql.err.MySQLError, match="use READ COMMITTED"):
                    cursor.execute("UPDATE item SET n = n + 1 WHERE id = 4")
            cursor.execute("COMMIT")
    number = ready.status()["number"]
    assert ready.new_rows(number)[4][1] == ready.old_rows(number)[4][1] == 1


def test_a_row_that_is_copied_while_a_transaction_is_open_is_not_missed(ready: PostgresStage) -> None:
    """As one whose copy came after the transaction had read."""
    number = ready.status()["number"]
    ready.own(0, f"DELETE FROM item_0__s{number} WHERE id IN (24, 32)")
    with ready.connect(0) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM item WHERE id % 2 = 0")
        ready.own(0, f"INSERT INTO item_0__s{number} VALUES (24, 0, 0, 'old 24'), (32, 0, 0, 'old 32')")
        cursor.execute("UPDATE item SET n = 5 WHERE id = 24")
        cursor.execute("DELETE FROM item WHERE id = 32")
        cursor.execute("COMMIT")
    new = ready.new_rows(number)
    assert new[24] == (0, 5, "old 24")
    assert 32 not in new
    assert new == ready.old_rows(number)


UNIQUE = (
    "CREATE TABLE {table} (id bigint PRIMARY KEY, owner int NOT NULL, n int NOT NULL, note varchar(60) NOT NULL, UNIQUE (id, n))",
)


@pytest.mark.parametrize("made", [(), UNIQUE], ids=["written over", "taken away and written"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM item WHERE id = 90000", "UPDATE item SET n = 2 WHERE id = 90000"]
)
def test_a_row_whose_commit_is_under_way_on_the_other_side_is_waited_for(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, made: Sequence[str], statement: str
) -> None:
    """The side that is read has committed a row. PostgreSQL shows nobody that the other one is about to, and waits for it in an INSERT alone."""
    directory = tmp_path_factory.mktemp("under_way")
    with open_postgres_stage([postgres], directory, rows=40, made=made, by_source=ELSEWHERE) as stage:
        stage.start()
        number = stage.status()["number"]
        row = "VALUES (90000, 1, 1, 'new')"
        stage.own(1, f"BEGIN; INSERT INTO item_1__s{number} {row}; PREPARE TRANSACTION 'another'")
        stage.own(0, f"INSERT INTO item_1 {row}")
        with stage.connect(0) as client, client.cursor() as cursor, ThreadPoolExecutor(1) as beside:
            writing = beside.submit(cursor.execute, statement)
            waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: writing.done() or stage.own(1, waiting) != ["0"], 20, "the write to wait")
            stage.own(1, "COMMIT PREPARED 'another'")
            assert writing.result() == 1
        new = stage.new_rows(number)
        assert new == stage.old_rows(number)
        assert new.get(90000) == (None if statement.startswith("DELETE") else (1, 2, "new"))


MADE = (
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('glad', 'sad'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    """CREATE TABLE {table} (id bigint, owner int, n int NOT NULL CHECK (n >= 0), note varchar(60) COLLATE "und-x-icu" NOT NULL DEFAULT 'é',
 flag boolean DEFAULT true, amount numeric(12,4), ratio double precision, single real, body text, raw bytea, day date, at timestamp(3),
 clock time(6), zoned timestamptz, kept jsonb, plain json, code uuid, feeling mood, fixed char(5), small smallint NOT NULL DEFAULT 7,
 PRIMARY KEY (note, id, owner), UNIQUE (id, code))""",
    "CREATE INDEX {table}_n ON {table} (n) WHERE n > 3",
    """CREATE INDEX "{table}$by mood" ON {table} USING btree (feeling, lower(body))""",
)
VALUES = """flag = id % 2 = 0, amount = id / 7.0, ratio = id / 3.0, single = id / 3.0, body = E'it''s \\\\ ' || id || E'\\n\\u00e9\\U0001F600',
 raw = decode(lpad(to_hex(id), 8, '0'), 'hex'), day = date '2024-02-28' + id::int, at = timestamp '2024-02-28 23:59:59.987' + id * interval '1 hour',
 clock = time '00:00:00.000001' + id * interval '1 minute', zoned = timestamptz '2024-03-31 00:30:00.123456+02' + id * interval '1 hour',
 kept = jsonb_build_object('b', id, 'a', NULL), plain = '{{"b" : 1,  "b": 2}}', code = md5(id::text)::uuid, feeling = 'sad', fixed = 'ab ', note = note || ' ''é'"""


def _texts(stage: PostgresStage, names: Sequence[str]) -> list[str]:
    """All rows as PostgreSQL writes them."""
    return sorted(
        line
        for number in (0, 1)
        for name in names
        for line in stage.own(number, f"SELECT t::text FROM {name} AS t")
    )


def _described(stage: PostgresStage, name: str) -> list[str]:
    """Columns, constraints and indexes of a table, as if it were called `item`."""
    oid = f"'{name}'::regclass"
    columns = (
        f"SELECT attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull, pg_get_expr(adbin, adrelid) "
        f"FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum) WHERE attrelid = {oid} AND attnum > 0"
    )
    asked = (
        columns,
        f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {oid}",
        f"SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') FROM pg_index WHERE indrelid = {oid}",
    )
    return sorted(line for sql in asked for line in stage.own(0, sql))


def test_values_of_all_types_of_tables_that_others_have_made(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = ["item_0", "item_1"]
    with open_postgres_stage([postgres], tmp_path_factory.mktemp("types"), rows=300, made=MADE) as stage:
        for number in (0, 1):
            for table in old:
                stage.own(
                    number,
                    f"UPDATE {table} SET {VALUES} WHERE id % 5 <> 0".replace("{{", "{").replace("}}", "}"),
                )
        described = _described(stage, "item_0")
        planned = " ".join(stage.reshard("plan", str(stage.after)).split())
        assert "its key column 'note' is not indexed by code points" in planned
        stage.start()
        status = stage.status()
        assert (status["phase"], status["stopped"]) == ("ready", ""), status
        number = status["number"]
        new = [f"item_0__s{number}", f"item_1__s{number}", "item_2", "item_3"]
        assert _texts(stage, new) == _texts(stage, old)
        with stage.connect(0) as connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE item SET flag = 0, ratio = ratio + 0.1, single = 0.1, kept = '{\"x\": [1]}', raw = x'00ff' WHERE id < 40"
            )
            cursor.execute(
                "UPDATE item SET owner = owner + 1, at = '2020-01-01 00:00:00.123', zoned = '2021-01-01 01:02:03.000004' WHERE id < 20"
            )
            cursor.execute(
                "INSERT INTO item (id, owner, n, note, code, feeling, clock) VALUES (5000, 1, 5, %s, %s, 'glad', '10:11:12.131415')",
                ("qu'o\\te ☃ ", "00000000-0000-0000-0000-00000000000a"),
            )
            cursor.execute("INSERT INTO item (id, owner, n, note) VALUES (5001, 2, 5, ''), (5002, 3, 5, ' ')")
            cursor.execute("DELETE FROM item WHERE id BETWEEN 50 AND 60")
        rows = _texts(stage, old)
        assert _texts(stage, new) == rows
        stage.reshard("verify")
        status = stage.status()
        assert (
            "repaired" not in status["progress"]["tables"]["item"]
            or not status["progress"]["tables"]["item"]["repaired"]
        )
        stage.reshard("cutover")
        stage.reshard("finish")
        assert _texts(stage, ["item_0", "item_1", "item_2", "item_3"]) == rows
        for table in ("item_0", "item_3"):
            assert _described(stage, table) == described


CASES = (
    (Phase.COPY, "a first chunk is taken"),
    (Phase.CUTOVER, "a sidecar holds"),
    (Phase.CLEAN_UP, "tables are renamed"),
)
"""In this order one job goes from one to the next."""


@pytest.fixture(scope="module")
def kills(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kills]:
    """Kills on a stage of their own."""
    with open_postgres_stage([postgres], tmp_path_factory.mktemp("killed"), rows=ROWS, lease=2) as stage:
        yield Kills(stage, ROWS, 3)


@pytest.mark.parametrize(("phase", "name"), CASES)
def test_the_sidecar_that_carries_a_job_out_is_killed(kills: Kills, phase: Phase, name: str) -> None:
    assert not kills.run(Case(moment(phase, name), "runner")).wrong
