"""LOAD DATA LOCAL INFILE stores what one server would store, and says the same about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.integration.statements.conftest import Twins
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.raw_client import BASIC, Failure, RawClient

pytestmark = pytest.mark.integration

LOCAL_FILES = 1 << 7

FILES = {
    "tabs": (
        b"9001\tone\t1\n9002\ttwo\t\\N\n9003\ta\\tb\\\\c\\nd\t3\n",
        "INTO TABLE t_auto (id, word, n)",
    ),
    "without a column list": (b"9001\tone\t1\n9002\ttwo\t2", "INTO TABLE t_auto"),
    "csv": (
        b'id,word,n\r\n9001,"a,b",1\r\n9002,"say ""no""",2\r\n9003,NULL,3\r\n9004,"NULL",\r\n',
        (
            "INTO TABLE t_auto FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' "
            "IGNORE 1 LINES (id, word, n)"
        ),
    ),
    "quotes nobody closes": (
        b'9001,"open\n9002,"x\n',
        "INTO TABLE t_auto FIELDS TERMINATED BY ',' ENCLOSED BY '\"' (id, word)",
    ),
    "lines with a prefix": (
        b"noise xxx9001;a\nxxx9002;b\nskipped;z\nfoo xxx9003;c",
        "INTO TABLE t_auto FIELDS TERMINATED BY ';' LINES STARTING BY 'xxx' (id, word)",
    ),
    "too many fields": (b"9001\tone\t1\tmore\n9002\ttwo\n9003\tx\ty\tz", "INTO TABLE t_auto (id, word)"),
    "keys that exist": (b"1\tone\n9002\ttwo\n9002\tthree\n", "INTO TABLE t_auto (id, word)"),
    "keys that are replaced": (
        b"1\tone\n9002\ttwo\n9002\tthree\n",
        "REPLACE INTO TABLE t_auto (id, word)",
    ),
    "keys that are ignored": (b"1\tone\n9002\ttwo\n", "IGNORE INTO TABLE t_auto (id, word)"),
    "numbers that are none": (
        b"9001\tone\tabc\n9002\ttwo\t\n9003\tx\t12x\n",
        "INTO TABLE t_auto (id, word, n)",
    ),
    "variables": (
        b"9001\t 5 \tx\n9002\t\ty\n9003\t\\N\tz\n",
        "INTO TABLE t_auto (id, @n, word) SET n = NULLIF(TRIM(@n), '') + 1",
    ),
    "a key by SET": (b"x\t9001\ny\t9002\n", "INTO TABLE t_auto (word, @k) SET id = @k, n = 7"),
    "beyond ASCII": (
        "9001\tgrün €\n9002\t日本\n".encode(),
        "INTO TABLE t_auto CHARACTER SET utf8mb4 (id, word)",
    ),
    "Latin-1": (b"9001\tgr\xfcn\n", "INTO TABLE t_auto CHARACTER SET latin1 (id, word)"),
    "a separator of its own": (
        b"9001||a|b||1##9002||c||2##",
        "INTO TABLE t_auto FIELDS TERMINATED BY '||' LINES TERMINATED BY '##' (id, word, n)",
    ),
    "an empty file": (b"", "INTO TABLE t_auto (id, word)"),
    "another sharding": (b"900\tann\tDE\n901\tbob\tFR\n", "INTO TABLE t_user (user_id, name, country)"),
    "a broadcast table": (b"X1\tone\nX2\ttwo\n", "INTO TABLE t_country (code, name)"),
    "a single table": (b"k1\tone\nk2\ttwo\n", "INTO TABLE t_config"),
}


ROW = re.compile(r" at row \d+$")
"""A data node counts the rows it was given."""


def _load(connection: pymysql.Connection[Any], statement: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        affected = cursor.execute(statement)
        message = cursor._result.message  # type: ignore[attr-defined]
        cursor.execute("SHOW WARNINGS")
        warnings = [(row[1], ROW.sub("", row[2])) for row in cursor.fetchall() if row[1] != 1196]
        return affected, message, sorted(warnings)


@pytest.fixture
def loading_twins(fresh_shop: Shop) -> Iterator[Twins]:
    made = Twins(fresh_shop)
    made.mesh = fresh_shop.target.connect(local_infile=True)
    made.plain = fresh_shop.plain.connect(local_infile=True)
    yield made
    made.close()


@pytest.mark.parametrize("name", FILES)
def test_loaded_rows_equal_one_server(loading_twins: Twins, tmp_path: Path, name: str) -> None:
    content, rest = FILES[name]
    (tmp_path / "rows").write_bytes(content)
    statement = f"LOAD DATA LOCAL INFILE '{tmp_path / 'rows'}' {rest}"
    mesh, plain = _load(loading_twins.mesh, statement), _load(loading_twins.plain, statement)
    table = rest.split("TABLE ")[1].split()[0]
    assert mesh == plain
    loading_twins.same_rows_stored(table)


def _client(shop: Shop, capabilities: int = BASIC | LOCAL_FILES) -> RawClient:
    client = RawClient(shop.target.host, shop.target.port, capabilities)
    client.log_in(shop.target.user, shop.target.password, shop.target.database)
    return client


def _begin(client: RawClient, statement: str) -> bytes:
    client.sequence = 0
    client.send(b"\x03" + statement.encode())
    return client.receive()


STATEMENT = "LOAD DATA LOCAL INFILE 'name' INTO TABLE t_auto (id, word)"


def test_a_client_that_cannot_send_files_is_refused(shop: Shop) -> None:
    with _client(shop, BASIC) as client:
        reply = client.query(STATEMENT)
        assert isinstance(reply, Failure)
        assert reply.number == 4166


def test_a_client_that_sends_no_file_loads_nothing(shop: Shop) -> None:
    with _client(shop) as client:
        assert _begin(client, STATEMENT) == b"\xfbname"
        client.send(b"")
        assert b"Records: 0  Deleted: 0  Skipped: 0  Warnings: 0" in client.receive()
        assert not isinstance(client.query("SELECT 1"), Failure)


def test_a_load_that_fails_reads_the_file_to_its_end_and_leaves_nothing(fresh_shop: Shop) -> None:
    with _client(fresh_shop) as client:
        assert _begin(client, STATEMENT) == b"\xfbname"
        client.send(b"9101\tone\n9102\ttwo\n")
        client.send(b"9103\n9104\tfour\n")
        for _ in range(300):
            client.send(b"9105\tfive\n" * 1000)
        client.send(b"")
        answer = client.receive()
        assert answer[0] == 0xFF
        assert b"fewer fields" in answer
        assert not isinstance(client.query("SELECT 1"), Failure)
    assert not [row for _, row in fresh_shop.on_shards("t_auto") if row[0] > 9100]


def test_killing_a_load_leaves_nothing_and_the_session_lives_on(fresh_shop: Shop) -> None:
    with _client(fresh_shop) as client, fresh_shop.target.connect() as other:
        _begin(client, STATEMENT)
        client.send(b"9101\tone\n9102\ttwo\n")
        assert ask(other, f"KILL QUERY {client.thread_id}").error is None
        client.send(b"9103\tthree\n")
        client.send(b"")
        answer = client.receive()
        assert answer[:3] == b"\xff\x25\x05"
        assert not isinstance(client.query("SELECT 1"), Failure)
    assert not [row for _, row in fresh_shop.on_shards("t_auto") if row[0] > 9100]


def test_a_client_lost_in_the_middle_of_a_file_leaves_nothing(fresh_shop: Shop) -> None:
    with _client(fresh_shop) as client:
        _begin(client, STATEMENT)
        client.send(b"9101\tone\n9102\ttwo\n")
    with fresh_shop.target.connect() as other:
        # A lock the lost load still held would keep this waiting; its rows would be the duplicates.
        assert ask(other, "INSERT INTO t_auto (id, word) VALUES (9101, 'x'), (9102, 'y')").error is None


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
def test_a_load_belongs_to_the_open_transaction(loading_twins: Twins, tmp_path: Path, ending: str) -> None:
    (tmp_path / "rows").write_bytes(b"".join(b"%d\tword\n" % key for key in range(9000, 12000)))
    for connection in (loading_twins.mesh, loading_twins.plain):
        ask(connection, "BEGIN")
        _load(connection, f"LOAD DATA LOCAL INFILE '{tmp_path / 'rows'}' INTO TABLE t_auto (id, word)")
        ask(connection, ending)
    loading_twins.same_rows_stored("t_auto")


def test_variables_keep_what_the_last_row_gave(loading_twins: Twins, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"9001\tone\tx\n9002\ttwo\t\\N\n")
    for connection in (loading_twins.mesh, loading_twins.plain):
        _load(
            connection,
            f"LOAD DATA LOCAL INFILE '{tmp_path / 'rows'}' INTO TABLE t_auto (id, @Word, @none) SET word = @word",
        )
    loading_twins.same("SELECT @word, @none IS NULL")


def test_a_load_without_a_database_says_so(shop: Shop) -> None:
    with shop.target.connect(database=None, local_infile=True) as connection:
        assert ask(connection, STATEMENT).error == 1046


def test_a_prepared_load_asks_for_its_file_each_time(loading_twins: Twins, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    prepare = f"PREPARE l FROM \"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t_auto (id, word)\""
    for connection in (loading_twins.mesh, loading_twins.plain):
        answer = ask(connection, prepare)
    if chosen_product() == "MySQL":
        assert answer.error == 1295, "MySQL itself does not prepare it; the mesh does"
        return
    for key in (9001, 9002):
        path.write_bytes(b"%d\tword\n" % key)
        assert _load(loading_twins.mesh, "EXECUTE l") == _load(loading_twins.plain, "EXECUTE l")
    loading_twins.same_rows_stored("t_auto")
