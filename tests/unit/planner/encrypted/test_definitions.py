"""CREATE TABLE and ALTER TABLE over encrypted columns: the columns that keep them, and what is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.rules.encryption.rule import StoredColumn
from tests.unit.planner.encrypted.shown import AES, GCM, HASH, bind, column, make_cache

CACHE = make_cache(
    column("name", "name_c", GCM, assisted=StoredColumn("name_h", HASH, "hash")),
    column("age", "age", AES, "INT"),
)
ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
NAME = f"`name_c` VARCHAR(99) {ASCII}, `name_h` VARCHAR(99) {ASCII}"


def text(sql: str) -> str:
    return bind(sql, cache=CACHE).shots[0].sql.decode()


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("name VARCHAR(20), age INT", f"{NAME}, `age` VARCHAR(99) {ASCII}"),
        (
            "name varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'a, b', age INT(11) DEFAULT NULL",
            (
                f"`name_c` VARCHAR(99) {ASCII} NOT NULL COMMENT 'a, b', `name_h` VARCHAR(99) {ASCII} NOT NULL, "
                f"`age` VARCHAR(99) {ASCII}"
            ),
        ),
        (
            "name VARCHAR(20) UNIQUE, age INTEGER, KEY k (age, id), UNIQUE (`name`), KEY (age)",
            f"{NAME}, UNIQUE KEY `name` (`name_h`), `age` VARCHAR(99) {ASCII}, KEY k (`age`, id), UNIQUE `name` (`name_h`), KEY `age` (`age`)",
        ),
    ],
)
def test_create_table(definition: str, expected: str) -> None:
    made = text(f"CREATE TABLE t_user (id BIGINT PRIMARY KEY, {definition}, v VARCHAR(7)) COMMENT 'x'")
    assert made == f"CREATE TABLE t_user_0 (id BIGINT PRIMARY KEY, {expected}, v VARCHAR(7)) COMMENT 'x'"


def test_alter_table_of_other_columns() -> None:
    sql = "ALTER TABLE t_user ADD COLUMN v VARCHAR(7) DEFAULT 'x', ADD KEY (city)"
    assert text(sql) == sql.replace("t_user", "t_user_0")
    assert text("CREATE INDEX i ON t_user (city)") == "CREATE INDEX i ON t_user_0 (city)"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE t_user (id BIGINT, name VARCHAR(21), age INT)", "which the rules call VARCHAR(20)"),
        (
            "CREATE TABLE t_user (id BIGINT, name VARCHAR(20) DEFAULT 'x', age INT)",
            "DEFAULT of the encrypted column",
        ),
        ("CREATE TABLE t_user (id BIGINT, name VARCHAR(20) COLLATE utf8mb4_bin, age INT)", "a collation of"),
        ("CREATE TABLE t_user (id BIGINT, name VARCHAR(20))", "without its encrypted column 'age'"),
        ("CREATE TABLE t_user (id BIGINT, name VARCHAR(20), age INT, KEY (name(5)))", "a part of 'name'"),
        (
            "CREATE TABLE t_user (id BIGINT, name VARCHAR(20), age INT, CHECK (age > 5))",
            "this key or constraint",
        ),
        (
            "CREATE TABLE t_user (id BIGINT, name VARCHAR(20), age INT, g INT AS (age + 1))",
            "in the definition of another",
        ),
        ("CREATE TABLE t_user AS SELECT 1 AS id", "CREATE TABLE of another form"),
        ("CREATE TABLE t_other LIKE t_user", "that names a table with encrypted columns"),
        (
            "CREATE TABLE t_other (id BIGINT REFERENCES t_user (id))",
            "that names a table with encrypted columns",
        ),
        ("ALTER TABLE t_user DROP COLUMN name", "in a change of a table"),
        ("ALTER TABLE t_user MODIFY name_c TEXT", "in a change of a table"),
        ("ALTER TABLE t_user CONVERT TO CHARACTER SET latin1", "in a change of a table"),
        ("ALTER TABLE t_user RENAME TO t_other", "in a change of a table"),
        ("CREATE INDEX i ON t_user (name)", "in a change of a table"),
        ("CREATE VIEW v AS SELECT id FROM t_user", "CREATE over a table"),
        ("CREATE TRIGGER g AFTER INSERT ON t_user FOR EACH ROW SET @x = 1", "CREATE over a table"),
    ],
)
def test_what_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(MeshError) as found:
        text(sql)
    assert found.value.number == 1235
    assert reason in str(found.value)
