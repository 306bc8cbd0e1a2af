"""Every form of a write to tables that are written on both sides: it does and says what it does and says where nothing moves, and both
sides have the same rows afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.integration.reshard.write_forms import WriteForms, open_write_forms
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask, assert_equal_answers
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import BASIC, LONG_PASSWORD, Failure, Ok, RawClient

pytestmark = pytest.mark.integration

returns_rows = pytest.mark.skipif(chosen_product() == "MySQL", reason="MySQL has no RETURNING")


@pytest.fixture(scope="module")
def opened(database_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteForms]:
    """Servers that keep no binlog: nothing mends what a write has not done."""
    servers = database_server("forms0", "forms1", options=("--skip-log-bin",))
    with open_write_forms(servers, tmp_path_factory.mktemp("forms")) as made:
        yield made
        assert made.status()["progress"]["bypassed"]["keys"] == 0


@pytest.fixture
def forms(opened: WriteForms) -> WriteForms:
    """The rows there are at the beginning."""
    opened.refill()
    return opened


class Clients:
    """The same session twice."""

    def __init__(self, forms: WriteForms, **options: Any) -> None:
        self.forms = forms
        self.shop = forms.connect("shop", **options)
        self.calm = forms.connect("calm", **options)

    def same(self, statement: str, *, rows: bool = True) -> None:
        """Run it in both databases, and look whether anything differs; in the midst of a transaction rows cannot be seen."""
        answers = [ask(one, statement) for one in (self.shop, self.calm)]
        assert_equal_answers(answers[0], answers[1], statement)
        results: list[Any] = [one._result for one in (self.shop, self.calm)]
        if answers[0].error is None:
            assert results[0].message == results[1].message, statement
        warnings = [repr(ask(one, "SHOW WARNINGS").rows) for one in (self.shop, self.calm)]
        assert warnings[0].replace("shop", "calm") == warnings[1], statement
        if rows:
            self.forms.assert_equal(statement)

    def close(self) -> None:
        """Both leave."""
        self.shop.close()
        self.calm.close()


def _run(forms: WriteForms, statements: Sequence[str], **options: Any) -> None:
    clients = Clients(forms, **options)
    opened = False
    for statement in statements:
        word = statement.split()[0]
        opened = statement in ("BEGIN", "SET autocommit = 0") or (
            opened and word not in ("COMMIT", "ROLLBACK")
        )
        clients.same(statement, rows=not opened)
    clients.close()


_INSERTS = (
    "INSERT INTO t_order (order_id, user_id, note) VALUES (102, 1, 'a'), (103, 2, 'b'), (104, 3, DEFAULT)",
    "INSERT INTO t_order SET order_id = 106, user_id = 2, note = 'set', amount = DEFAULT",
    "INSERT IGNORE INTO t_order (order_id, user_id, note) VALUES (102, 1, 'x'), (107, 1, 'y')",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (108, 1, 'x'), (102, 1, 'y')",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (102, 1, 'new'), (109, 2, 'n') ON DUPLICATE KEY UPDATE note = VALUES(note)",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (102, 1, 'm') ON DUPLICATE KEY UPDATE user_id = user_id + 1",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (1 + 400, 2 * 3, CONCAT('a', 'b'))",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (403, 2, (SELECT MAX(word) FROM t_still))",
    "INSERT INTO t_order (order_id, user_id, amount) VALUES (404, 2, 123456789012)",
    "INSERT IGNORE INTO t_order (order_id, user_id, amount) VALUES (405, 2, 123456789012)",
    "INSERT INTO t_order (order_id, user_id, note) SELECT id + 200, owner, word FROM t_still WHERE id < 6",
    "INSERT INTO t_order (order_id, user_id, note) SELECT order_id + 300, user_id, note FROM t_order WHERE order_id < 6",
    "REPLACE INTO t_order (order_id, user_id, note) VALUES (1, 1, 'r'), (110, 4, 'r')",
    "REPLACE INTO t_order (order_id, user_id, note) SELECT id, owner, word FROM t_still WHERE id < 6",
    # Keys that the mesh gives, and columns that servers compute.
    "INSERT INTO t_item (code, n) VALUES ('g1', 1), ('g2', 2), ('g3', 3)",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_item () VALUES ()",
    "INSERT INTO t_item (item_id, code) VALUES (NULL, 'nul'), (0, 'zero'), (DEFAULT, 'def'), (500, 'given')",
    "INSERT INTO t_item (item_id, code, n) VALUES (1, 'd', DEFAULT) ON DUPLICATE KEY UPDATE n = LAST_INSERT_ID(n + 1)",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_item (item_id, code, n, twice) VALUES (501, 'gen', 1, DEFAULT)",
    "INSERT INTO t_item (code, n) SELECT word, id FROM t_still WHERE id < 4",
    # Keys that a server counts.
    "INSERT INTO t_single (code) VALUES ('s2'), ('s3')",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_single (id, code) VALUES (NULL, 's4'), (0, 's5'), (DEFAULT, 's6')",
    "INSERT IGNORE INTO t_single (code, n) VALUES ('c1', 99), ('s11', 1)",
    "INSERT INTO t_single (code, n) VALUES ('s12', 1), ('c1', 99)",
    "INSERT INTO t_single (code, n) VALUES ('c1', 99) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), n = n + 1",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_single (code, n) VALUES ('s13', 9) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), n = n + 1",
    "INSERT INTO t_single (id, code, n) VALUES (3, 'c4', 1) ON DUPLICATE KEY UPDATE n = n + 100",
    "REPLACE INTO t_single (id, code, n) VALUES (6, 'c7', 77)",
    "REPLACE INTO t_single (id, code, n) VALUES (8, 'c8', 8)",
    "REPLACE INTO t_single (code, n) VALUES ('c9', 1), ('s15', 2), ('c9', 3)",
    "INSERT IGNORE INTO t_single (id, code, n) VALUES (901, CONCAT('c', 1 + 1), 1), (902, CONCAT('k', 1), 2)",
    "INSERT INTO t_single (code, n) SELECT word, id FROM t_still WHERE id = 4",
    "INSERT IGNORE INTO t_single (code, n) VALUES ('case', 1), ('CASE ', 2)",
    "INSERT LOW_PRIORITY INTO t_single (code, n) VALUES ('low', 2)",
    "INSERT INTO t_single (id, code) VALUES (600, 's7'), (NULL, 's8')",
    "SELECT LAST_INSERT_ID()",
    # Rows that every data node has.
    "INSERT INTO t_country VALUES ('ES', 'Spain', 4), ('DE', 'twice', 1)",
    "INSERT IGNORE INTO t_country VALUES ('ES', 'Spain', 4), ('DE', 'twice', 1)",
    "REPLACE INTO t_country VALUES ('ES', 'Spain', 5)",
    "INSERT INTO t_country VALUES ('ES', 'Spain', 4) ON DUPLICATE KEY UPDATE n = n + 1",
    "INSERT INTO t_country SELECT 'XX', word, id FROM t_still WHERE id = 3",
)

_CHANGES = (
    "UPDATE t_order SET note = 'u' WHERE order_id = 3 AND user_id = 3",
    "UPDATE t_order SET note = 'u' WHERE order_id = 3 AND user_id = 3",
    "UPDATE t_order SET amount = amount + 1 WHERE order_id < 10 ORDER BY order_id LIMIT 3",
    "UPDATE t_order SET user_id = user_id + 1 WHERE order_id = 7",
    "UPDATE t_order SET order_id = order_id + 1 ORDER BY order_id DESC",
    "UPDATE IGNORE t_order SET order_id = 10 WHERE order_id IN (11, 12)",
    "UPDATE t_order o JOIN t_still s ON o.order_id = s.id SET o.note = s.word, s.word = 'both' WHERE s.id < 9",
    "UPDATE t_order SET note = 'sub' WHERE order_id IN (SELECT id FROM t_still WHERE owner = 2)",
    "UPDATE t_order SET amount = 99999999999 WHERE order_id < 5",
    "UPDATE IGNORE t_order SET amount = 99999999999 WHERE order_id < 5",
    "UPDATE t_order SET note = DEFAULT, amount = amount * 2 WHERE order_id = 14",
    "UPDATE t_item SET n = n + 1 WHERE item_id IN (3, 4, 5)",
    "UPDATE t_single SET id = id + 5000 WHERE id = 11",
    "UPDATE t_single SET id = id + 1 ORDER BY id DESC",
    "UPDATE t_single SET id = 13 WHERE id = 14",
    "UPDATE IGNORE t_single SET code = 'c13' WHERE id IN (15, 16, 17)",
    "UPDATE t_single SET code = CONCAT(code, 'z') WHERE id < 20 ORDER BY id LIMIT 3",
    "UPDATE t_single s JOIN t_order o ON o.order_id = s.n SET s.price = 10",
    "UPDATE t_country SET n = n + 1",
    "UPDATE t_country SET code = 'SP' WHERE code = 'DE'",
    "UPDATE t_country SET n = n + 1 ORDER BY code LIMIT 1",
    "DELETE FROM t_order WHERE order_id > 17 ORDER BY order_id LIMIT 2",
    "DELETE FROM t_order WHERE order_id IN (SELECT id FROM t_still WHERE id BETWEEN 20 AND 22)",
    "DELETE o, s FROM t_order o JOIN t_still s ON o.order_id = s.id WHERE s.id = 25",
    "DELETE FROM o USING t_order o JOIN t_still s ON o.order_id = s.id WHERE s.id = 24",
    "DELETE QUICK FROM t_single WHERE id = 18",
    "DELETE t_single, t_order FROM t_single JOIN t_order ON t_order.order_id = t_single.id WHERE t_single.id = 19",
    "DELETE FROM t_item WHERE item_id % 3 = 0",
    "DELETE FROM t_country ORDER BY n LIMIT 1",
)

_RETURNING = (
    "INSERT INTO t_order (order_id, user_id, note) VALUES (3001, 1, 'a') RETURNING order_id, note, user_id + 1",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (3002, 1, 'a'), (3003, 2, 'b'), (3004, 3, 'c') RETURNING *",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (3002, 1, 'd'), (3005, 2, 'e') ON DUPLICATE KEY UPDATE note = 'm' RETURNING note",
    "INSERT IGNORE INTO t_order (order_id, user_id, note) VALUES (3002, 1, 'd'), (3006, 2, 'e') RETURNING order_id",
    "REPLACE INTO t_order (order_id, user_id, note) VALUES (3002, 1, 'f'), (3007, 2, 'e') RETURNING order_id, note",
    "INSERT INTO t_order (order_id, user_id, note) SELECT id + 3100, owner, word FROM t_still WHERE id < 4 RETURNING order_id",
    "INSERT INTO t_order (order_id, user_id) VALUES (3001, 1) RETURNING order_id",
    "INSERT INTO t_order (order_id, user_id) VALUES (' 3010', 2.4) RETURNING order_id, user_id; -- as they are stored",
    "DELETE FROM t_order WHERE order_id IN (3002, 3003) RETURNING order_id, note",
    "DELETE FROM t_order WHERE order_id > 3004 ORDER BY order_id LIMIT 1 RETURNING order_id",
    "DELETE FROM t_order WHERE order_id = 99999 RETURNING *",
    "INSERT INTO t_item (code) VALUES ('ret1'), ('ret2') RETURNING item_id, twice, kept",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_single (code) VALUES ('ret1'), ('ret2') RETURNING id, twice",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO t_single (id, code) VALUES (900, 'ret7'), (NULL, 'ret8') RETURNING id",
    "INSERT INTO t_single (code, n) VALUES ('ret1', 1), ('ret3', 1) ON DUPLICATE KEY UPDATE n = n + 1 RETURNING id, n",
    "INSERT IGNORE INTO t_single (code, n) VALUES ('ret1', 1), ('ret4', 1) RETURNING id, n",
    "REPLACE INTO t_single (code, n) VALUES ('ret1', 1), ('ret5', 1) RETURNING id, n",
    "INSERT INTO t_single (code, n) SELECT word, id + 50 FROM t_log RETURNING id, n",
    "DELETE FROM t_single WHERE code = 'ret1' RETURNING id, CONCAT(code, '!')",
    "INSERT INTO t_country VALUES ('AA', 'a', 1) ON DUPLICATE KEY UPDATE n = n + 1 RETURNING code, n",
    "REPLACE INTO t_country VALUES ('AA', 'a', 1), ('BB', 'b', 2) RETURNING code",
    "DELETE FROM t_country WHERE code = 'AA' RETURNING code, n",
    "BEGIN",
    "INSERT INTO t_order (order_id, user_id) VALUES (3501, 1), (3502, 2) RETURNING order_id",
    "INSERT INTO t_order (order_id, user_id) VALUES (3503, 1), (3501, 1) RETURNING order_id",
    "COMMIT",
)

_TRANSACTIONS = (
    "BEGIN",
    "INSERT INTO t_order (order_id, user_id) VALUES (4001, 1)",
    "SAVEPOINT a",
    "UPDATE t_order SET note = 'sp' WHERE order_id < 5",
    "INSERT INTO t_single (code) VALUES ('sp')",
    "SAVEPOINT b",
    "DELETE FROM t_order WHERE order_id = 4001",
    "ROLLBACK TO b",
    "INSERT INTO t_order (order_id, user_id) VALUES (4005, 2), (4001, 1)",
    "RELEASE SAVEPOINT a",
    "COMMIT",
    "BEGIN",
    "UPDATE t_item SET n = n + 1",
    "DELETE FROM t_country",
    "ROLLBACK",
    "SET autocommit = 0",
    "SELECT order_id FROM t_order WHERE order_id < 4 ORDER BY order_id FOR UPDATE",
    "UPDATE t_order SET note = 'locked' WHERE order_id < 4",
    "COMMIT",
    "SET autocommit = 1",
    "START TRANSACTION READ ONLY",
    "UPDATE t_order SET note = 'ro' WHERE order_id = 4",
    "COMMIT",
    "PREPARE p FROM 'INSERT INTO t_order (order_id, user_id, note) VALUES (?, ?, ?)'",
    "SET @a = 5001, @b = 2, @c = 'prep'",
    "EXECUTE p USING @a, @b, @c",
    "EXECUTE p USING @a, @b, @c",
    "DEALLOCATE PREPARE p",
    "INSERT INTO t_single (code, n) VALUES ('variable', @w := 5)",
    "SELECT @w",
    "SET sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'",
    'INSERT INTO "t_order" (order_id, user_id, "note") VALUES (5002, 1, \'ansi\')',
    "UPDATE \"t_order\" SET \"note\" = 'it''s' WHERE order_id = 5002 AND \"note\" = 'ansi'",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "UPDATE t_order SET note = 'a\\' WHERE order_id = 5002",
    "INSERT INTO t_order (order_id, user_id, note) VALUES (5003, 1, 'a\\b\\')",
    "SET sql_mode = DEFAULT",
)


def test_inserts(forms: WriteForms) -> None:
    _run(forms, _INSERTS)


def test_updates_and_deletes(forms: WriteForms) -> None:
    _run(forms, _CHANGES)


@returns_rows
def test_rows_that_are_returned(forms: WriteForms) -> None:
    _run(forms, _RETURNING)


def test_transactions_text_prepares_and_modes(forms: WriteForms) -> None:
    _run(forms, _TRANSACTIONS)


def test_clients_that_count_rows_found(forms: WriteForms) -> None:
    _run(
        forms,
        (
            "UPDATE t_order SET note = 'note 3' WHERE order_id IN (3, 4)",
            "INSERT INTO t_single (code, n) VALUES ('c1', 1) ON DUPLICATE KEY UPDATE n = 1",
            "REPLACE INTO t_single (code, n) VALUES ('c1', 1)",
        ),
        client_flag=2,
    )


def test_tables_of_a_database_that_is_not_the_current_one(forms: WriteForms) -> None:
    client = forms.connect("calm")
    for statement in (
        "INSERT INTO shop.t_order (order_id, user_id) VALUES (8000, 3)",
        "UPDATE shop.t_order SET note = 'q' WHERE order_id = 8000",
        "INSERT INTO shop.t_single (id, code) VALUES (8000, CONCAT('x', 1))",
        "REPLACE INTO shop.t_country VALUES ('QQ', 'q', 1)",
        "UPDATE calm.t_order c JOIN shop.t_order s ON s.order_id = c.order_id SET s.note = 'one' WHERE c.order_id = 6",
        "UPDATE calm.t_order c JOIN shop.t_order s ON s.order_id = c.order_id SET s.note = 'x', c.note = 'y' WHERE c.order_id = 6",
        "UPDATE calm.t_single c JOIN shop.t_single s ON s.id = c.id SET s.n = 78, c.n = 78 WHERE c.id = 4",
        "DELETE s, c FROM calm.t_order c JOIN shop.t_order s ON s.order_id = c.order_id WHERE c.order_id = 5",
        "INSERT INTO shop.t_order (order_id, user_id) SELECT order_id + 9000, user_id FROM calm.t_order",
    ):
        answer = ask(client, statement)
        assert (answer.error, answer.affected > 0) == (None, True), f"{statement}: {answer.text}"
        forms.assert_sides(statement)
    client.close()


def test_several_statements_at_once(forms: WriteForms) -> None:
    counts = []
    for name in ("shop", "calm"):
        with forms.connect(name, client_flag=1 << 16) as client, client.cursor() as cursor:
            cursor.execute(
                "INSERT INTO t_order (order_id, user_id) VALUES (24000, 1); UPDATE t_order SET note = 'm' WHERE user_id = 1; "
                "DELETE FROM t_order WHERE order_id = 3"
            )
            found = [cursor.rowcount]
            while cursor.nextset():
                found.append(cursor.rowcount)
            counts.append(found)
            cursor.execute(
                "DELETE FROM t_order WHERE order_id = 4; INSERT INTO t_order (order_id, user_id) VALUES (24000, 1)"
            )
            with pytest.raises(pymysql.err.IntegrityError):
                cursor.nextset()
    assert counts[0] == counts[1]
    forms.assert_equal("several statements")


_FILES = {
    "duplicates": (b"9001\t1\tx\n9002\t2\ty\n1\t1\tdup\n", "INTO TABLE t_order (order_id, user_id, note)"),
    "replaced": (b"1\t1\tx2\n9003\t2\ty\n", "REPLACE INTO TABLE t_order (order_id, user_id, note)"),
    "many": (
        "".join(f"{key}\t{key % 9}\tn{key}\n" for key in range(10_000, 13_000)).encode(),
        "INTO TABLE t_order (order_id, user_id, note)",
    ),
    "numbered by the mesh": (b"a\t1\nb\t2\n", "INTO TABLE t_item (code, n)"),
    "numbered by the server": (b"ls1\t1\nc1\t3\nls1\t9\nls2\tx\n", "INTO TABLE t_single (code, n)"),
    "replaced by another key": (b"ls1\t1\nc1\t3\n", "REPLACE INTO TABLE t_single (code, n)"),
    "computed": (b"9100\tq\n9101\tr\n", "INTO TABLE t_single (@a, code) SET id = @a + 1, n = 7"),
    "some numbered": (b"\\N\tq1\n9201\tr1\n", "INTO TABLE t_single (id, code)"),
    "everywhere": (b"GG\tg\t1\nDE\tdup\t2\n", "INTO TABLE t_country"),
    "too few fields": (b"9301\t1\tx\n9302\n", "INTO TABLE t_order (order_id, user_id, note)"),
}


@pytest.mark.parametrize("name", _FILES)
def test_files(forms: WriteForms, tmp_path: Path, name: str) -> None:
    content, clauses = _FILES[name]
    path = tmp_path / "rows"
    path.write_bytes(content)
    clients = Clients(forms, local_infile=True)
    clients.same(f"LOAD DATA LOCAL INFILE '{path}' {clauses}")
    clients.same("SELECT LAST_INSERT_ID()")
    clients.close()


def test_a_file_in_a_transaction(forms: WriteForms, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("9001\t1\n9002\t2\n")
    load = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t_order (order_id, user_id)"
    clients = Clients(forms, local_infile=True)
    for end in ("ROLLBACK", "COMMIT"):
        for statement in ("BEGIN", "UPDATE t_order SET note = 'in it' WHERE order_id = 2", load):
            clients.same(statement, rows=False)
        clients.same(end)
    clients.close()


def _executed(
    forms: WriteForms, database: str, statement: str, values: Sequence[Any], *, bulk: bool
) -> list[str]:
    with RawClient(forms.mesh.host, forms.mesh.port, BASIC & ~LONG_PASSWORD) as client:
        assert isinstance(client.log_in("root", "root", database), Ok)
        prepared = client.prepare(statement)
        assert not isinstance(prepared, Failure), prepared
        replies: list[Any] = []
        for row in values:
            execute = client.execute_bulk if bulk else client.execute
            replies += [
                execute(prepared[0], row),
                client.query("SHOW WARNINGS"),
                client.query("SELECT LAST_INSERT_ID()"),
            ]
        return [repr(reply).replace("calm", "shop") for reply in replies]


_EXECUTED: tuple[tuple[str, Sequence[Sequence[Any]]], ...] = (
    (
        "INSERT INTO t_order (order_id, user_id, note) VALUES (?, ?, ?)",
        [[20_000, 1, b"b"], [20_001, 2, None], [20_000, 1, b"dup"]],
    ),
    ("INSERT INTO t_order (order_id, user_id) VALUES (?, ?), (?, ?)", [[20_002, 1, 20_003, 2]]),
    ("UPDATE t_order SET note = ? WHERE order_id = ?", [[b"bin", 20_000], [b"bin", 20_000]]),
    ("UPDATE t_order SET user_id = user_id + ? WHERE order_id = ?", [[1, 20_001]]),
    ("DELETE FROM t_order WHERE order_id = ? AND user_id = ?", [[20_002, 1]]),
    ("REPLACE INTO t_order (order_id, user_id, amount) VALUES (?, ?, ?)", [[20_003, 2, 5]]),
    ("INSERT INTO t_item (code, n) VALUES (?, ?)", [[b"bi", 1], [b"bj", 2]]),
    ("INSERT INTO t_single (code, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + ?", [[b"c1", 1, 3]]),
    ("UPDATE t_single SET id = ? WHERE id = ?", [[21_000, 5]]),
    ("UPDATE t_country SET n = n + ?", [[1]]),
    ("INSERT INTO t_order (order_id, user_id) SELECT id + ?, owner FROM t_still WHERE id < ?", [[22_000, 3]]),
)
_EXECUTED_RETURNING: tuple[tuple[str, Sequence[Sequence[Any]]], ...] = (
    (
        "INSERT INTO t_order (order_id, user_id, amount) VALUES (?, ?, ?) RETURNING order_id, amount / 3e0",
        [[20_005, 1, 7]],
    ),
    ("INSERT INTO t_single (code, n) VALUES (?, ?) RETURNING id, n / 3e0", [[b"br", 1]]),
    (
        "INSERT INTO t_order (order_id, user_id, amount) VALUES (?, ?, ?), (?, ?, ?) RETURNING order_id, amount / 3e0",
        [[20_006, 1, 7, 20_007, 2, 8]],
    ),
    ("DELETE FROM t_order WHERE order_id = ? RETURNING order_id, amount / 3e0", [[20_006]]),
)
_BULK: tuple[tuple[str, Sequence[Any]], ...] = (
    (
        "INSERT INTO t_order (order_id, user_id, note) VALUES (?, ?, ?)",
        [[[23_000 + n, n, b"bulk"] for n in range(5)]],
    ),
    ("INSERT INTO t_order (order_id, user_id) VALUES (?, ?)", [[[23_050, 1], [1, 1]]]),
    ("INSERT INTO t_item (code, n) VALUES (?, ?)", [[[b"bulk", n] for n in range(5)]]),
    ("INSERT INTO t_single (code, n) VALUES (?, ?)", [[[b"bulk%d" % n, n] for n in range(5)]]),
    ("INSERT INTO t_single SET code = ?, n = ?", [[[b"set%d" % n, n] for n in range(3)]]),
    ("UPDATE t_order SET note = ? WHERE order_id = ?", [[[b"changed", 23_000 + n] for n in range(5)]]),
    ("DELETE FROM t_order WHERE order_id = ?", [[[23_000 + n] for n in range(2)]]),
    (
        "INSERT INTO t_order (order_id, user_id) VALUES (?, ?) RETURNING order_id",
        [[[23_060, 1], [23_061, 2]]],
    ),
)


@pytest.mark.parametrize(
    "which",
    ["executed", pytest.param("returned", marks=returns_rows), pytest.param("bulk", marks=returns_rows)],
)
def test_prepared_statements(forms: WriteForms, which: str) -> None:
    cases = {"executed": _EXECUTED, "returned": _EXECUTED_RETURNING, "bulk": _BULK}[which]
    for statement, values in cases:
        shop, calm = (
            _executed(forms, name, statement, values, bulk=which == "bulk") for name in ("shop", "calm")
        )
        assert shop == calm, statement
        forms.assert_equal(statement)


def test_what_it_costs_is_told(forms: WriteForms) -> None:
    def writes() -> dict[str, Any]:
        found: dict[str, Any] = forms.status()["progress"]["writes"]
        return found

    def settled() -> dict[str, Any] | None:
        """Told once a second: when it is the same after the next telling."""
        found = writes()
        with forms.connect("shop") as client, client.cursor() as cursor:
            cursor.execute("UPDATE t_order SET amount = amount + 1 WHERE order_id = 1")
        wait_until(lambda: writes()["rows"] > found["rows"], 20, "the next telling")
        now = writes()
        return now if now["rows"] == found["rows"] + 1 else None

    before = wait_until(settled, 60, "everything that was written is told")
    assert before is not None
    with forms.connect("shop") as client, client.cursor() as cursor:
        cursor.execute("UPDATE t_order SET amount = amount + 1 WHERE order_id < 11")
        cursor.execute("UPDATE t_single SET n = n + 1 WHERE id < 4")
    wait_until(lambda: writes()["rows"] >= before["rows"] + 13, 20, "what was written is told")
    after = writes()
    differences = {name: after[name] - before[name] for name in before if name != "amplification"}
    # Where there are unique keys rows are taken away before they are written.
    assert (differences["statements"], differences["rows"]) == (2, 13)
    assert differences["other_rows"] == 10 + 2 * 3
    assert after["amplification"] == round((after["rows"] + after["other_rows"]) / after["rows"], 3)
    assert f"write amplification {after['amplification']:.2f}" in " ".join(forms.reshard("status").split())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE PROCEDURE p() INSERT INTO t_single (code) VALUES ('p')",
        "CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN INSERT INTO t_single (code) VALUES ('f'); RETURN 1; END",
        "CREATE TRIGGER t AFTER INSERT ON t_log FOR EACH ROW INSERT INTO t_single (code) VALUES ('t')",
        "CREATE TABLE t_child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES t_single (id) ON DELETE CASCADE)",
        "CREATE VIEW v AS SELECT * FROM t_order",
        "CREATE INDEX i ON t_single (n)",
        "TRUNCATE TABLE t_country",
    ],
)
def test_what_would_reach_one_side_alone_is_refused(forms: WriteForms, statement: str) -> None:
    with forms.connect("shop") as client:
        answer = ask(client, statement)
        assert (answer.error, "whose rows are being moved" in answer.text) == (1235, True), answer
        # Other tables are free.
        assert ask(client, "CREATE TABLE t_other (id INT PRIMARY KEY)").error is None
        assert ask(client, "DROP TABLE t_other").error is None
