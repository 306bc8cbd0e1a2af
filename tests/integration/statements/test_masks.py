"""Masked columns: what their readers see is what one server would show whose tables hold nothing but the masked values.

That server is the whole proof: an answer equal to its answer can tell no secret, however the statement was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugins import shop as shop_data
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import MeshFactory, Shop
from tests.plugins.mask_reference import reference
from tests.plugins.mesh import Mesh

_MASKS = {
    "email": ("KEEP_FIRST_N_LAST_M", {"first-n": "1", "last-m": "2", "replace-char": "*"}),
    "name": ("MASK_FROM_X_TO_Y", {"from-x": "5", "to-y": "20", "replace-char": "#"}),
    "balance": ("MASK_FROM_X_TO_Y", {"from-x": "1", "to-y": "30", "replace-char": "0"}),
}
_RULE = """\
- !MASK
  tables:
    t_user:
      exempt: auditor
      columns:
        email: {maskAlgorithm: email}
        name: {maskAlgorithm: name}
        balance: {maskAlgorithm: balance, maskedFor: analyst}
  maskAlgorithms:
"""
_DENIED = {"SELECT LOAD_FILE('/etc/passwd')": 1227, "SELECT * FROM mysql.column_stats": 1142}
"""What only accounts with more privileges may do, whatever is masked."""
_USERS = "- {user: analyst@%, password: secret}\n- {user: auditor@%, password: secret}\n"
_SCHEMA = "masked"


@dataclass(frozen=True)
class Masked:
    """A mesh with masks, and a server that holds the masked values only, in the database `masked`."""

    mesh: Mesh
    analyst: pymysql.Connection[Any]
    auditor: pymysql.Connection[Any]
    plain: pymysql.Connection[Any]

    def same(self, statement: str, *prepared: Any) -> Answer:
        """Runs the statement for the masked reader and on the server, and insists on equal rows and errors."""
        mesh, plain = (
            ask(self.analyst, statement, prepared or None),
            ask(self.plain, statement.replace(f"{shop_data.DATABASE}.", f"{_SCHEMA}."), prepared or None),
        )
        assert (mesh.error, mesh.as_bag().rows) == (plain.error, plain.as_bag().rows), statement + mesh.text
        assert [column.name for column in mesh.columns] == [column.name for column in plain.columns], (
            statement
        )
        return mesh

    def refused(self, statement: str) -> str:
        """What the mesh says to the masked reader, who must not be answered."""
        found = ask(self.analyst, statement)
        assert found.error == _DENIED.get(statement, 1235), f"{statement}: {found}"
        return found.text


@pytest.fixture(scope="module")
def masked(shop: Shop, mesh_with: MeshFactory) -> Iterator[Masked]:
    mesh = mesh_with(users=_USERS, start=False)
    rules = mesh.configuration / f"database-{shop_data.DATABASE}.yaml"
    algorithms = "".join(
        f"    {name}: {{type: {kind}, props: {{{', '.join(f'{key}: {chr(39)}{value}{chr(39)}' for key, value in props.items())}}}}}\n"
        for name, (kind, props) in _MASKS.items()
    )
    text = rules.read_text().replace('["ds_0.t_config"]', '["ds_0.t_config", "ds_0.copy_of_users"]')
    rules.write_text(text + _RULE + algorithms)
    mesh.start()
    server = shop.plain_server
    server.execute(
        f"DROP DATABASE IF EXISTS {_SCHEMA}",
        f"CREATE DATABASE {_SCHEMA} CHARACTER SET utf8mb4",
        *(f"CREATE TABLE {_SCHEMA}.{name} LIKE shop.{name}" for name in ("t_user", "t_order", "t_auto")),
        f"INSERT INTO {_SCHEMA}.t_order SELECT * FROM shop.t_order",
        f"ALTER TABLE {_SCHEMA}.t_user MODIFY balance VARCHAR(40)",
    )
    masks = {column: reference(kind, props) for column, (kind, props) in _MASKS.items()}
    plain = pymysql.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, database=_SCHEMA,
        autocommit=True, charset="utf8mb4",
    )  # fmt: skip
    with plain.cursor() as cursor:
        for user, name, email, country, balance, born, created in shop_data._users():
            row = (
                user,
                masks["name"](name),
                email and masks["email"](email),
                country,
                masks["balance"](f"{balance:.2f}"),
                born,
                created,
            )
            cursor.execute("INSERT INTO t_user VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    readers = [mesh.connect(user=user, password="secret") for user in ("analyst", "auditor")]
    yield Masked(mesh, readers[0], readers[1], plain)
    for connection in (*readers, plain):
        connection.close()
    server.execute(f"DROP DATABASE {_SCHEMA}")


_READS = (
    "SELECT * FROM t_user",
    "SELECT * FROM t_user WHERE user_id = 7",
    "SELECT u.*, o.status FROM t_user u JOIN t_order AS o ON o.user_id = u.user_id WHERE u.user_id = 8",
    "SELECT shop.t_user.email FROM shop.t_user WHERE shop.t_user.email LIKE 'u%rg' AND user_id < 9",
    "SELECT email AS e, UPPER(name), balance + 1 FROM t_user WHERE user_id IN (1, 2, 3)",
    "SELECT email, COUNT(*) FROM t_user GROUP BY email ORDER BY 2 DESC, 1 LIMIT 3",
    "SELECT country, MAX(email), MIN(balance) FROM t_user GROUP BY country",
    "SELECT DISTINCT name FROM t_user",
    "SELECT email FROM t_user WHERE user_id = 1 UNION ALL SELECT name FROM t_user WHERE user_id = 2",
    "WITH x AS (SELECT email AS e FROM t_user WHERE user_id < 5) SELECT REVERSE(e) FROM x",
    "SELECT user_id FROM t_user WHERE email = 'u5@example.org'",
    "SELECT user_id FROM t_user WHERE name IN (SELECT name FROM t_user WHERE user_id = 3) AND email > 'u*'",
    "SELECT (SELECT v.email FROM t_user v WHERE v.user_id = u.user_id) FROM t_user FORCE INDEX (PRIMARY) JOIN t_user u USING (user_id) WHERE user_id = 4",
    "SELECT email, ROW_NUMBER() OVER (ORDER BY email, user_id) FROM t_user WHERE user_id < 20",
    "SELECT a.user_id FROM t_user a NATURAL JOIN t_user b WHERE a.user_id < 9",
    "SELECT JSON_ARRAYAGG(email) FROM t_user WHERE user_id = 6",
    "SELECT email FROM t_user WHERE user_id = 3 FOR UPDATE",
    "SELECT order_id FROM t_order WHERE user_id IN (SELECT user_id FROM t_user WHERE email LIKE '%5@%')",
    "SET @secret = (SELECT email FROM t_user WHERE user_id = 7)",
    "SELECT @secret",
    "SELECT email, name INTO @secret, @other FROM t_user WHERE user_id = 8",
    "SELECT @secret, @other",
    "PREPARE p FROM 'SELECT email FROM t_user WHERE user_id = ?'",
    "EXECUTE p USING @secret",
    "SET @n = 9",
    "EXECUTE p USING @n",
    "DO (SELECT email FROM t_user WHERE user_id = 7)",
    "SELECT LAST_INSERT_ID(balance) FROM t_user WHERE user_id = 7",
    "SELECT LAST_INSERT_ID()",
)


def test_a_masked_reader_sees_what_a_server_with_masked_rows_shows(masked: Masked, shop: Shop) -> None:
    for statement in _READS:
        masked.same(statement)
    if shop.plain_server.product == "MariaDB":
        masked.same("SET STATEMENT max_statement_time = 9 FOR SELECT email FROM t_user WHERE user_id = 7")
    else:
        masked.same("TABLE t_user ORDER BY user_id LIMIT 3")


def test_a_masked_reader_locks_the_rows_it_asks_for(masked: Masked) -> None:
    masked.analyst.begin()
    ask(masked.auditor, "SET innodb_lock_wait_timeout = 1")
    try:
        masked.same("SELECT email FROM t_user WHERE user_id = 3 FOR UPDATE")
        assert ask(masked.auditor, "UPDATE t_user SET country = 'DE' WHERE user_id = 3").error == 1205
        # A row beside it is free.
        assert ask(masked.auditor, "UPDATE t_user SET country = country WHERE user_id = 7").error is None
    finally:
        masked.analyst.rollback()


def test_a_reader_without_masks_would_be_noticed(masked: Masked) -> None:
    other = replace(masked, analyst=masked.auditor)
    for statement in (
        "SELECT email FROM t_user WHERE user_id = 7",
        "SELECT user_id FROM t_user WHERE name = 'user 07'",
    ):
        with pytest.raises(AssertionError):
            other.same(statement)


def test_others_read_the_values_as_they_are(masked: Masked) -> None:
    [(email, balance)] = ask(masked.auditor, "SELECT email, balance FROM t_user WHERE user_id = 7").rows
    assert email == "u7@example.org"
    root = masked.mesh.connect()
    # Everybody is masked who is not exempt, an administrator too; the balance only for the one who is named.
    assert ask(root, "SELECT email, balance FROM t_user WHERE user_id = 7").rows == (
        ("u***********rg", balance),
    )
    root.close()


_REFUSED = (
    "EXPLAIN SELECT * FROM t_user WHERE email = 'x'",
    "CALL anything()",
    "SELECT anything(1)",
    "SELECT levenshtein('a', 'b')",
    "SELECT LOAD_FILE('/etc/passwd')",
    "UPDATE t_user SET country = 'DE' WHERE email = 'u7@example.org'",
    "UPDATE t_user SET country = LEFT(email, 2) WHERE user_id = 7",
    "UPDATE t_user SET country = LEFT(t_user.email, 2) WHERE user_id = 7",
    "UPDATE t_order o JOIN t_user u USING (user_id) SET o.note = u.email WHERE u.user_id = 7",
    "UPDATE t_user SET country = 'DE' WHERE user_id = 7 ORDER BY email LIMIT 1",
    "UPDATE t_user SET user_id = 8 WHERE user_id = 7",
    "DELETE FROM t_user WHERE email LIKE 'u7%'",
    "DELETE FROM t_user WHERE user_id = 900 RETURNING email",
    "DELETE FROM t_user WHERE user_id = 900 RETURNING *",
    "DELETE o FROM t_order o JOIN t_user u ON u.user_id = o.user_id WHERE u.email = 'x'",
    "INSERT INTO t_user (user_id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE country = LEFT(email, 2)",
    "INSERT INTO t_user (user_id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE user_id = 8",
    "REPLACE INTO t_user (user_id, name) VALUES (907, 'x') RETURNING email",
    "ALTER TABLE t_user RENAME COLUMN email TO mail",
    "ALTER TABLE t_user ADD COLUMN mail VARCHAR(100) AS (email)",
    "ALTER TABLE t_user ADD UNIQUE (email)",
    "CREATE UNIQUE INDEX u ON t_user (email)",
    "RENAME TABLE t_user TO t_other",
    "CREATE TRIGGER g BEFORE UPDATE ON t_user FOR EACH ROW SET NEW.country = LEFT(OLD.email, 2)",
    "CREATE PROCEDURE g() SELECT * FROM t_user",
    "CREATE FUNCTION g() RETURNS TEXT RETURN (SELECT MAX(email) FROM t_user)",
    "CREATE TABLE child (x VARCHAR(120), FOREIGN KEY (x) REFERENCES t_user (email))",
    "CHECKSUM TABLE t_user",
    "SHOW ENGINE INNODB STATUS",
    "SHOW BINLOG EVENTS",
    "SHOW TABLES WHERE (SELECT email FROM t_user WHERE user_id = 1) = 'x'",
    "SELECT * FROM mysql.column_stats",
    "SELECT * FROM information_schema.INNODB_TRX",
    "SELECT * FROM information_schema.OPTIMIZER_TRACE",
    "SELECT * FROM information_schema.PROCESSLIST",
    "SELECT * FROM t_user PARTITION (p0)",
    "SELECT email FROM t_user WHERE user_id = 1 FOR UPDATE OF t_user LOCK IN SHARE MODE",
    "HANDLER t_user OPEN",
    "SELECT email FROM t_user INTO OUTFILE 'x'",
)


def test_what_might_tell_a_secret_is_refused(masked: Masked) -> None:
    for statement in _REFUSED:
        assert "u7" not in masked.refused(statement)
    # What is around the masked columns is as open as ever.
    for statement in ("SHOW CREATE TABLE t_user", "DESCRIBE t_user", "SHOW INDEX FROM t_user", "SHOW TABLES"):
        assert ask(masked.analyst, statement).rows
    assert ask(
        masked.analyst, "SELECT table_name FROM information_schema.TABLES WHERE table_name = 't_user'"
    ).rows


def test_a_masked_writer_gives_values_and_carries_none_away(masked: Masked, fresh_shop: Shop) -> None:
    writes = (
        "INSERT INTO t_user (user_id, name, email) VALUES (101, 'somebody', 'new@example.org')",
        "UPDATE t_user SET email = 'other@example.org', name = 'else' WHERE user_id = 101",
        "INSERT INTO t_user (user_id, name) VALUES (101, 'third') ON DUPLICATE KEY UPDATE name = VALUES(name)",
        "INSERT INTO t_auto (id, word) SELECT user_id, email FROM t_user WHERE user_id < 5",
        "REPLACE INTO t_auto (id, word, n) SELECT user_id, CONCAT(name, email), 1 FROM t_user WHERE user_id < 3",
        "UPDATE t_auto SET word = (SELECT MAX(email) FROM t_user WHERE user_id = 7) WHERE id = 4",
        "UPDATE t_auto JOIN (SELECT user_id, name FROM t_user) AS u ON u.user_id = t_auto.id SET n = LENGTH(u.name) WHERE id = 3",
        "DELETE FROM t_auto WHERE word IN (SELECT email FROM t_user WHERE user_id = 2)",
        "CREATE TABLE copy_of_users AS SELECT user_id, email, UPPER(name) FROM t_user WHERE user_id < 9",
    )
    try:
        for statement in writes:
            assert ask(masked.analyst, statement).error is None, statement
        assert ask(masked.auditor, "SELECT name, email FROM t_user WHERE user_id = 101").rows == (
            ("third", "other@example.org"),
        )
        rows = ask(masked.auditor, "SELECT word FROM t_auto UNION ALL SELECT email FROM copy_of_users").rows
        # Two rows of t_auto are gone: their words are masked alike.
        assert len(rows) == 10
        assert all("@" not in word for (word,) in rows if word)
    finally:
        ask(masked.auditor, "DROP TABLE IF EXISTS copy_of_users")


_TOLD_BY_ERRORS = (
    "SELECT ~0 + LENGTH(name) FROM t_user WHERE user_id = 7",
    "SELECT EXP(1000 + LENGTH(email)) FROM t_user WHERE user_id = 7",
    "SELECT email REGEXP '(' FROM t_user WHERE user_id = 7",
)


def test_error_texts_tell_neither_values_nor_how_they_are_masked(masked: Masked) -> None:
    for statement in _TOLD_BY_ERRORS:
        answer = masked.same(statement)
        [(_, number, text)] = ask(masked.analyst, "SHOW WARNINGS").rows
        assert (number, text) == (answer.error, answer.text)
        assert "t_user" not in text
        assert "concat" not in text.lower()
        ask(masked.analyst, statement)
        ask(masked.analyst, "GET DIAGNOSTICS CONDITION 1 @text = MESSAGE_TEXT")
        assert ask(masked.analyst, "SELECT @text").rows == ((text,),)
    assert ask(masked.auditor, _TOLD_BY_ERRORS[0]).text.startswith(
        "BIGINT UNSIGNED value is out of range in '"
    )
    assert "nothing" in ask(masked.analyst, "SELECT nothing FROM t_user").text
    assert masked.refused("PREVIEW SELECT email FROM t_user")


def test_views_of_others_are_read_through_the_readers_masks(masked: Masked) -> None:
    root = masked.mesh.connect()
    definitions = (
        "CREATE VIEW v_users AS SELECT user_id, CONCAT(email, name) AS both_of FROM t_user",
        "CREATE VIEW v_over AS SELECT user_id AS id, both_of FROM v_users WHERE both_of LIKE 'u%'",
    )
    try:
        for definition in definitions:
            assert ask(root, definition).error is None
            assert ask(masked.plain, definition).error is None
        for statement in (
            "SELECT * FROM v_users WHERE user_id = 7",
            "SELECT * FROM v_over v JOIN t_user u ON u.user_id = v.id WHERE id < 9",
            "SELECT id FROM v_over WHERE both_of LIKE 'u7%'",
        ):
            masked.same(statement)
        # A view that a masked reader makes shows others what they may see.
        assert ask(masked.analyst, "CREATE VIEW v_mine AS SELECT email FROM t_user").error is None
        assert ("u7@example.org",) in ask(masked.auditor, "SELECT * FROM v_mine").rows
        assert all("@" not in (email or "") for (email,) in ask(masked.analyst, "SELECT * FROM v_mine").rows)
    finally:
        ask(root, "DROP VIEW IF EXISTS v_users, v_over, v_mine")
        root.close()


_CALLS = ("UPPER({})", "REVERSE({})", "HEX({})", "CONCAT({}, '!')", "SUBSTRING({}, 2, 3)", "IFNULL({}, '-')", "LENGTH({})",
          "MD5({})", "CASE WHEN {} LIKE 'u%' THEN 1 ELSE 0 END", "ASCII(SUBSTRING({}, 3, 1))", "({} = 'u5@example.org')")  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, table: str) -> str:
    """Something over a column of the users."""
    text = f"{table}.{draw(st.sampled_from(['email', 'name', 'balance', 'country', 'user_id']))}"
    for call in draw(st.lists(st.sampled_from(_CALLS), max_size=2)):
        text = call.format(text)
    if draw(st.integers(0, 5)) == 0:
        text = (
            f"(SELECT MAX({text.replace(f'{table}.', 's.')}) FROM t_user s WHERE s.user_id = {table}.user_id)"
        )
    return text


@st.composite
def conditions(draw: st.DrawFn, table: str) -> str:
    """A condition on the users, on their secrets too."""
    return draw(
        st.sampled_from(
            (
                f"{table}.user_id < 30",
                f"{table}.email LIKE 'u1%'",
                f"{table}.email LIKE '%@example%'",
                f"{table}.email > 'u2@example.org'",
                f"{table}.name = 'user 05'",
                f"LENGTH({table}.balance) > 3",
                f"{table}.email IN (SELECT w.email FROM t_user w WHERE w.user_id < 10)",
                f"EXISTS (SELECT 1 FROM t_user w WHERE w.name = {table}.name AND w.user_id <> {table}.user_id)",
                f"{table}.user_id IN (SELECT o.user_id FROM t_order o WHERE o.amount > 40)",
            )
        )
    )


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A query that tries to get at a secret."""
    source = draw(
        st.sampled_from(
            (
                "t_user u",
                "shop.t_user AS u",
                "(SELECT * FROM t_user) u",
                "(SELECT user_id, name, email, country, balance FROM t_user x WHERE {x}) AS u",
                "t_user u JOIN t_order o ON o.user_id = u.user_id AND o.amount > 45",
                "t_user u LEFT JOIN t_user v ON v.email = u.email AND v.email LIKE '%@example%'",
                "w AS u",
            )
        )
    )
    source = source.replace("{x}", draw(conditions("x")))
    items = draw(st.lists(expressions("u"), min_size=1, max_size=3))
    where = draw(st.lists(conditions("u"), max_size=2))
    ending = draw(st.sampled_from(("", "distinct", "group", "order", "union")))
    shown = [items[0], "COUNT(*)", "MAX(u.email)"] if ending == "group" else items
    text = f"SELECT {'DISTINCT ' * (ending == 'distinct')}"
    text += f"{', '.join(f'{item} AS c{number}' for number, item in enumerate(shown))} FROM {source}"
    if where:
        text += f" WHERE {draw(st.sampled_from((' AND ', ' OR '))).join(where)}"
    if ending == "group":
        text += f" GROUP BY {items[0]}"
    elif ending == "order":
        text += " ORDER BY u.email DESC, u.user_id" + draw(st.sampled_from(("", " LIMIT 1000")))
    elif ending == "union":
        text += (
            f" UNION SELECT {', '.join(['t.email'] * len(items))} FROM t_user t WHERE {draw(conditions('t'))}"
        )
    return f"WITH w AS (SELECT * FROM t_user) {text}" if "w AS u" in text else text


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statement=statements(), way=st.sampled_from(("text", "prepared", "variable", "table")))
def test_no_statement_tells_a_secret(masked: Masked, statement: str, way: str) -> None:
    if way == "text":
        masked.same(statement)
        return
    quoted = statement.replace("'", "''")
    ways = {
        "prepared": (f"PREPARE s FROM '{quoted}'", "EXECUTE s"),
        "variable": (f"SET @v = (SELECT MIN(c0) FROM ({statement}) AS z)", "SELECT @v"),
        "table": (
            f"CREATE TABLE copy_of_users AS SELECT c0 FROM ({statement}) AS z",
            "SELECT * FROM copy_of_users",
            "DROP TABLE copy_of_users",
        ),
    }
    for one in ways[way]:
        masked.same(one)
