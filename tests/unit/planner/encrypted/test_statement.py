"""Statements over encrypted columns: what is planned in their place, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.plan import Call, RowMerge
from dbmesh.planner.session_view import SessionValues
from dbmesh.planner.steps import DerivedWrite
from tests.unit.planner.encrypted.shown import (
    AES,
    CACHE,
    COLUMNS,
    GCM,
    Shown,
    bind,
    column,
    first,
    kind,
    make_cache,
)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id, city FROM t_user WHERE id = 1", "SELECT id, city FROM t_user WHERE id = 1"),
        ("SELECT name FROM t_user WHERE id = 1", "SELECT `name_c` AS name FROM t_user WHERE id = 1"),
        (
            "SELECT u.Name AS n FROM t_user u WHERE id = 1",
            "SELECT u.`name_c` AS n FROM t_user u WHERE id = 1",
        ),
        (
            "SELECT * FROM t_user WHERE id = 1",
            (
                "SELECT `t_user`.`id`, `t_user`.`name_c` AS `name`, `t_user`.`mail` AS `mail`, `t_user`.`age_c` AS `age`, "
                "`t_user`.`note_c` AS `note`, `t_user`.`phone`, `t_user`.`city` FROM t_user WHERE id = 1"
            ),
        ),
        (
            "SELECT id FROM t_user WHERE name = 'x' AND 'y' = mail AND age <> -5 AND id = 1",
            "SELECT id FROM t_user WHERE `name_h` = 'hash<x>' AND 'aes<y>' = `mail` AND `age_c` <> 'aes<-5>' AND id = 1",
        ),
        (
            "SELECT id FROM t_user WHERE id = 1 AND name IN ('x', 'y') AND age NOT IN (5, NULL) AND note IS NULL",
            (
                "SELECT id FROM t_user WHERE id = 1 AND `name_h` IN ('hash<x>','hash<y>') AND `age_c` NOT IN ('aes<5>', NULL) AND "
                "`note_c` IS NULL"
            ),
        ),
        (
            "SELECT id FROM t_user WHERE id = 1 AND phone LIKE '0%' AND phone > '1'",
            "SELECT id FROM t_user WHERE id = 1 AND phone LIKE '0%' AND phone > '1'",
        ),
        (
            "SELECT a.id FROM t_user a JOIN t_user b ON a.id = b.id AND a.name = b.name WHERE a.id = 1",
            "SELECT a.id FROM t_user a JOIN t_user b ON a.id = b.id AND a.`name_h` = b.`name_h` WHERE a.id = 1",
        ),
        (
            "SELECT COUNT(name), EXISTS (SELECT * FROM t_user WHERE id = 1) AS e FROM t_user WHERE id = 1",
            "SELECT COUNT(`t_user`.`name_c`) AS `COUNT(name)`, EXISTS (SELECT * FROM t_user WHERE id = 1) AS e FROM t_user WHERE id = 1",
        ),
        (
            "SELECT id FROM t_user WHERE id = 1 AND name LIKE 'A_%'",
            "SELECT id, `t_user`.`name_c` FROM t_user WHERE id = 1 AND `name_l` LIKE 'a_%'",
        ),
        (
            "INSERT INTO t_user (id, name, mail) VALUES (1, 'x', NULL), (5, 'y', 'z')",
            (
                "INSERT INTO t_user (id, `name_c`, `name_h`, `name_l`, `mail`) VALUES (1, 'gcm<x>', 'hash<x>', 'x', NULL),"
                "(5, 'gcm<y>', 'hash<y>', 'y', 'aes<z>')"
            ),
        ),
        (
            "INSERT INTO t_user VALUES (1, 'x', DEFAULT, 5, 'n', '0', 'c')",
            (
                "INSERT INTO t_user (`id`, `name_c`, `name_h`, `name_l`, `mail`, `age_c`, `note_c`, `phone`, `phone_c`, `city`) "
                "VALUES (1, 'gcm<x>', 'hash<x>', 'x', DEFAULT, 'aes<5>', 'gcm<n>', '0', 'aes<0>', 'c')"
            ),
        ),
        (
            "INSERT INTO t_user SET id = 1, age = 5, phone = '0', city = 'c'",
            "INSERT INTO t_user SET id = 1, `age_c` = 'aes<5>', phone = '0', `phone_c` = 'aes<0>', city = 'c'",
        ),
        (
            "INSERT INTO t_user (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name), mail = 'z', age = NULL",
            (
                "INSERT INTO t_user (id, `name_c`, `name_h`, `name_l`) VALUES (1, 'gcm<x>', 'hash<x>', 'x') ON DUPLICATE KEY UPDATE "
                "`name_c` = IF(`name_h` <=> VALUES(`name_h`), `name_c`, VALUES(`name_c`)), `name_h` = VALUES(`name_h`), "
                "`name_l` = VALUES(`name_l`), `mail` = 'aes<z>', `age_c` = NULL"
            ),
        ),
        (
            "UPDATE t_user SET name = 'x', phone = '0', note = NULL WHERE id = 1 AND mail = 'm'",
            (
                "UPDATE t_user SET `name_c` = IF(`name_h` <=> 'hash<x>', `name_c`, 'gcm<x>'), `name_h` = 'hash<x>', "
                "`name_l` = 'x', phone = '0', `phone_c` = 'aes<0>', `note_c` = NULL WHERE id = 1 AND `mail` = 'aes<m>'"
            ),
        ),
        (
            "DELETE FROM t_user WHERE id = 1 AND age = 5",
            "DELETE FROM t_user WHERE id = 1 AND `age_c` = 'aes<5>'",
        ),
        (
            "REPLACE INTO t_user (id, mail) VALUES (1, 'x')",
            "REPLACE INTO t_user (id, `mail`) VALUES (1, 'aes<x>')",
        ),
    ],
)
def test_what_is_planned_instead(sql: str, expected: str) -> None:
    assert first(sql) == expected


def test_parameters_are_encrypted_and_the_others_written_in() -> None:
    assert first("SELECT id FROM t_user WHERE name = ? AND id = ? AND city = ?", "x", 1, "c") == (
        "SELECT id FROM t_user WHERE `name_h` = 'hash<x>' AND id = 1 AND city = 'c'"
    )
    assert first("INSERT INTO t_user (id, name) VALUES (?, ?)", 1, "x") == (
        "INSERT INTO t_user (id, `name_c`, `name_h`, `name_l`) VALUES (1, 'gcm<x>', 'hash<x>', 'x')"
    )
    assert first("SELECT id FROM t_user WHERE id = 1 AND age IN (?, 5)", None) == (
        "SELECT id FROM t_user WHERE id = 1 AND `age_c` IN (NULL, 'aes<5>')"
    )


def test_a_prepared_query_is_prepared_with_its_values() -> None:
    kept = bind("SELECT name FROM t_user WHERE id = ?", 1, keep=True)
    assert (kept.keeps_parameters, kept.parameters, kept.written_in) == (True, (), True)
    plan, literals = CACHE.lookup("SELECT name FROM t_user WHERE id = ? AND name = ?", "shop")
    shot = plan.prototype(literals)  # type: ignore[union-attr]
    assert shot.sql.count(b"?") == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO t_user (id, name) VALUES (1, '')", "SELECT id FROM t_user WHERE id = 1 AND name = ''"],
)
def test_an_empty_text_may_be_null(sql: str) -> None:
    plan, literals = CACHE.lookup(sql, "shop")
    for empties_are_null in (False, True):
        session = SessionValues(empties_are_null=empties_are_null)
        shot = plan.bind(Call(literals, session)).shots[0]  # type: ignore[union-attr]
        assert (b"NULL" in shot.sql) is empties_are_null


def test_plans_are_shared_by_shape() -> None:
    cache = make_cache()
    bind("SELECT id FROM t_user WHERE id = 1 AND name = 'x'", cache=cache)
    misses = cache.misses
    assert first("SELECT id FROM t_user WHERE id = 5 AND name = 'y'", cache=cache).endswith(
        "`name_h` = 'hash<y>'"
    )
    assert cache.misses == misses


def test_what_is_decrypted() -> None:
    bound = bind("SELECT city, t_user.*, mail AS m FROM t_user")
    assert bound.decryption is not None
    assert [(one.place, one.column.name) for one in bound.decryption.columns] == [
        (2, "name"), (3, "mail"), (4, "age"), (5, "note"), (8, "mail"),
    ]  # fmt: skip
    assert bound.decryption.columns[0].keys == 0x4008
    assert bound.decryption.columns[1].keys == 0x4004
    assert isinstance(bind("SELECT name FROM t_user WHERE id = 1").answer, RowMerge)
    like = bind("SELECT name FROM t_user WHERE name LIKE 'A%' AND name LIKE ?", "%b").decryption
    assert like is not None
    assert (like.hidden, [(one.place, one.pattern) for one in like.checks]) == (2, [(-2, "A%"), (-1, "%b")])


def test_several_keys_while_rotating() -> None:
    two = Shown("two", keys=2)
    cache = make_cache(column("mail", "mail", two), column("age", "age_c", two, "INT"))
    assert first("SELECT id FROM t_user WHERE id = 1 AND mail = 'x' AND age <> 5", cache=cache) == (
        "SELECT id FROM t_user WHERE id = 1 AND `mail` IN ('two<x>','two1<x>') AND `age_c` NOT IN ('two<5>','two1<5>')"
    )
    assert first("SELECT id FROM t_user WHERE id = 1 AND mail IN ('x', 'y')", cache=cache).endswith(
        "IN ('two<x>','two1<x>','two<y>','two1<y>')"
    )
    assert first("UPDATE t_user SET age = 5 WHERE id = 1", cache=cache).startswith(
        "UPDATE t_user SET `age_c` = 'two<5>'"
    )
    for sql in (
        "SELECT a.id FROM t_user a JOIN t_user b ON a.mail = b.mail",
        "SELECT COUNT(DISTINCT mail) FROM t_user",
        "SELECT mail FROM t_user GROUP BY mail",
        "SELECT DISTINCT mail FROM t_user",
        "SELECT id FROM t_user WHERE mail <=> 'x'",
        "SELECT id FROM t_user WHERE mail IN ('x', NULL)",
        "UPDATE t_user SET mail = 'x' WHERE id = 1",
        "INSERT INTO t_user (id, mail) VALUES (1, 'x')",
    ):
        with pytest.raises(MeshError, match="several keys"):
            bind(sql, cache=cache)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT UPPER(name) FROM t_user", "the use of 'name' in UPPER"),
        ("SELECT id FROM t_user WHERE note = 'x'", "whose cipher is different each time"),
        ("SELECT id FROM t_user WHERE name = 5", "which the mesh would have to convert"),
        ("SELECT id FROM t_user WHERE age = 'five'", "which the mesh would have to convert"),
        ("SELECT id FROM t_user WHERE name = city", "anything but a literal"),
        ("SELECT id FROM t_user WHERE name = x'41'", "anything but a literal"),
        ("SELECT id FROM t_user WHERE name = (SELECT 'x')", "anything but a literal"),
        ("SELECT id FROM t_user WHERE name = mail", "which are encrypted otherwise"),
        ("SELECT id FROM t_user WHERE mail LIKE 'a%'", "give the column a likeQuery"),
        ("SELECT id FROM t_user WHERE name NOT LIKE 'a%'", "this form of LIKE"),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY id) AS n FROM t_user WHERE name LIKE 'a%'",
            "beside window functions",
        ),
        ("SELECT @n := @n + 1 AS n FROM t_user WHERE name LIKE 'a%'", "beside window functions"),
        ("SELECT id FROM t_user WHERE name LIKE 'a%' AND GET_LOCK(city, 1)", "beside window functions"),
        ("SELECT id FROM t_user WHERE NOT name LIKE 'a%'", "not a condition of the outermost WHERE"),
        ("SELECT id FROM t_user WHERE name LIKE 'a' ESCAPE '!'", "not a condition of the outermost WHERE"),
        ("SELECT id FROM t_user WHERE name LIKE city", "LIKE with anything but a text"),
        ("DELETE FROM t_user WHERE name LIKE 'a%'", "LIKE on an encrypted column beside"),
        ("SELECT id FROM t_user HAVING name = 'x'", "HAVING, ORDER BY and window functions"),
        ("SELECT ROW_NUMBER() OVER (PARTITION BY name) FROM t_user", "window functions"),
        ("SELECT name = 'x' FROM t_user", "an item without a name"),
        ("SELECT id FROM t_user WHERE id IN (SELECT name FROM t_user)", "as the result of a subquery"),
        (
            "SELECT id FROM t_user WHERE (SELECT name FROM t_user LIMIT 1) = 'x'",
            "as the result of a subquery",
        ),
        (
            "SELECT CONCAT((SELECT name FROM t_user LIMIT 1), '') AS n FROM t_user",
            "as the result of a subquery",
        ),
        ("SELECT id FROM t_user WHERE name = ANY (SELECT name FROM t_user)", "anything but a literal"),
        ("SELECT id FROM t_user WHERE name IN (SELECT mail FROM t_user)", "which are encrypted otherwise"),
        (
            "SELECT id FROM t_user WHERE note IN (SELECT note FROM t_user)",
            "whose cipher is different each time",
        ),
        ("SELECT UPPER(n) FROM (SELECT name AS n FROM t_user) x", "the use of 'n' in UPPER"),
        ("SELECT n FROM (SELECT name AS n FROM t_user) x ORDER BY n", "ORDER BY"),
        (
            "SELECT n FROM (SELECT name AS n FROM t_user) x WHERE n LIKE 'a%'",
            "a condition of the outermost WHERE",
        ),
        ("SELECT l.n FROM t_user u JOIN LATERAL (SELECT u.name AS n) l ON TRUE", "subquery in this place"),
        ("WITH c AS (SELECT UPPER(name) AS n FROM t_user) SELECT n FROM c", "the use of 'name' in UPPER"),
        ("SELECT name FROM t_user UNION ALL SELECT 'x'", "that is not encrypted alike"),
        ("SELECT name FROM t_user UNION ALL SELECT city FROM t_user", "that is not encrypted alike"),
        ("SELECT city FROM t_user UNION ALL SELECT mail FROM t_user", "that is not encrypted alike"),
        ("SELECT age FROM t_user UNION ALL SELECT mail FROM t_user", "that is not encrypted alike"),
        ("SELECT name FROM t_user UNION SELECT name FROM t_user", "DISTINCT over 'name'"),
        ("SELECT note FROM t_user EXCEPT SELECT note FROM t_user", "DISTINCT over 'note'"),
        (
            "SELECT mail FROM t_user UNION SELECT mail FROM t_user ORDER BY mail",
            "ORDER BY and window functions",
        ),
        ("SELECT mail FROM t_user UNION SELECT mail FROM t_user ORDER BY 1", "the number of a column"),
        ("SELECT * FROM t_user JOIN t_country USING (code)", "this USING or NATURAL JOIN"),
        ("SELECT * FROM t_user, (SELECT 1) x", "an item without a name"),
        ("TABLE t_user", "TABLE over a table with encrypted columns"),
        ("DO (SELECT name FROM t_user LIMIT 1)", "DO over a table"),
        (
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE t_user (id, @v) SET name = @v",
            "LOAD DATA that reads into variables",
        ),
        ("INSERT INTO t_country (code) SELECT name FROM t_user", "which is not encrypted"),
        ("INSERT INTO t_user (id, name) SELECT title, 'x' FROM t_country", "which data sources would read"),
        (
            "INSERT INTO t_user (id, age) SELECT 1, -2 UNION ALL (SELECT 3, NULL)",
            "which data sources would read",
        ),
        (
            "REPLACE INTO t_user (id, name) SELECT title, CONCAT(?, 'x') AS n FROM t_country",
            "which data sources would read",
        ),
        (
            "INSERT INTO t_user (id, name) SELECT id, CONCAT(city, '!') FROM t_user",
            "which data sources would read",
        ),
        (
            "INSERT INTO t_user (id, name) SELECT code, n FROM t_country, (SELECT 'secret' AS n) d",
            "which data sources would read",
        ),
        (
            "INSERT INTO t_user (id, name) WITH c AS (SELECT 1 AS i, 'secret' AS n) SELECT * FROM c",
            "which data sources would read",
        ),
        ("INSERT INTO t_user (id, name) VALUES (1, city)", "anything but a literal"),
        ("INSERT INTO t_user (id, name) VALUES (1, (SELECT 'x'))", "a query in VALUES"),
        ("INSERT INTO t_user (id, city) VALUES (1, name)", "in this place of an INSERT"),
        (
            "INSERT INTO t_user (id, city) VALUES (1, 'x') ON DUPLICATE KEY UPDATE city = name",
            "in this place of an INSERT",
        ),
        (
            "INSERT INTO t_user (id, name) VALUES (1, 'x') AS n ON DUPLICATE KEY UPDATE name = n.name",
            "a row alias",
        ),
        ("UPDATE t_user SET name = CONCAT(name, 'x') WHERE id = 1", "anything but a literal"),
        ("UPDATE t_user a JOIN t_user b ON a.id = b.id SET a.name = 'x'", "UPDATE of several tables"),
        ("UPDATE t_user u JOIN t_order o ON o.user_id = u.id SET phone = 'x'", "UPDATE of several tables"),
    ],
)
def test_what_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(MeshError) as found:
        bind(sql)
    assert found.value.number == 1235
    assert reason in str(found.value)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t_user (id, nome) VALUES (1, 'secret')",
        "INSERT INTO t_user (id, name_c) VALUES (1, 'secret')",
        "REPLACE INTO t_user SET id = 1, nome = 'secret'",
        "UPDATE t_user SET nome = 'secret' WHERE id = 1",
        "INSERT INTO t_user (id) VALUES (1) ON DUPLICATE KEY UPDATE nome = 'secret'",
        "UPDATE t_user u JOIN t_order o ON o.user_id = u.id SET o.nome = 'secret'",
        "INSERT INTO t_user (id, city) VALUES (1, IF(nome = 'secret', 'a', 'b'))",
        "INSERT INTO t_user (id) VALUES (1) ON DUPLICATE KEY UPDATE city = IF(nome = 'secret', 'a', 'b')",
    ],
)
def test_a_value_for_a_column_that_is_not_there_is_sent_nowhere(sql: str) -> None:
    with pytest.raises(MeshError) as raised:
        bind(sql)
    assert raised.value.number == 1054


def test_a_table_without_the_columns_of_the_rules_is_refused() -> None:
    cache = make_cache(column("name", "nowhere", AES))
    with pytest.raises(MeshError, match="which has no column nowhere"):
        bind("SELECT id FROM t_user", cache=cache)


def test_writes_in_steps_are_statements_of_clients() -> None:
    write = bind("UPDATE t_user SET name = 'x' WHERE mail = 'm' ORDER BY city LIMIT 1").answer
    assert isinstance(write, DerivedWrite)
    assert "mail = 'm'" in write.steps[0].query
    assert tuple(write.explained()) == ()


def test_insert_select_runs_in_steps() -> None:
    write = bind(
        "INSERT INTO t_user (id, name) SELECT id + 1, name FROM t_user WHERE mail = 'm' AND id = 1"
    ).answer
    assert isinstance(write, DerivedWrite)
    assert "mail = 'm'" in write.steps[0].query
    bind("INSERT INTO t_country (code) SELECT city FROM t_user WHERE name = 'x'")
    bind("INSERT INTO t_user SELECT * FROM t_user")
    bind("INSERT INTO t_user (id, name) SELECT id, n FROM (SELECT id, name AS n FROM t_user) x")
    bind("INSERT INTO t_user (id, name) SELECT id, city FROM t_user UNION ALL SELECT id, city FROM t_user")
    plan, literals = CACHE.lookup("INSERT INTO t_user (id, city) SELECT ?, 'x'", "shop")
    assert plan.prototype(literals).sql == b"DO 0"  # type: ignore[union-attr]
    for sql, reason in (
        ("INSERT INTO t_user (id, city) SELECT id, name FROM t_user", "into 'city', which is not encrypted"),
        (
            "INSERT INTO t_user (id, phone) SELECT id, name FROM t_user",
            "into 'phone', which is not encrypted",
        ),
        ("INSERT INTO t_user (id, name) SELECT id, name FROM t_user UNION SELECT 1, 'x'", "encrypted alike"),
        (
            "INSERT INTO t_user (id, city) SELECT id, n FROM (SELECT id, name AS n FROM t_user) x",
            "into 'city'",
        ),
    ):
        with pytest.raises(MeshError) as found:
            bind(sql)
        assert reason in str(found.value), sql


def test_a_cipher_must_fit_its_column() -> None:
    cache = make_cache(column("note", "note_c", GCM, "VARCHAR(200)"))
    assert "gcm<" in first(f"UPDATE t_user SET note = '{'n' * 94}' WHERE id = 1", cache=cache)
    with pytest.raises(MeshError, match="make that column longer") as found:
        bind(f"UPDATE t_user SET note = '{'n' * 95}' WHERE id = 1", cache=cache)
    assert "nn" not in str(found.value)


def test_other_statements_are_planned_as_ever() -> None:
    assert bind("SELECT * FROM t_country").decryption is None
    assert next(shot.sql for shot in bind("TRUNCATE TABLE t_user").shots) == b"TRUNCATE TABLE t_user_0"


@pytest.mark.parametrize("declared", ["blob", "binary(64)", "varbinary(99)", "bigint", "json"])
def test_what_cannot_keep_encrypted_values(declared: str) -> None:
    cache = make_cache(stored={"name_h": declared})
    with pytest.raises(MeshError, match="encrypted values in the column 'name_h' of type"):
        bind("SELECT id FROM t_user WHERE name = 'x'", cache=cache)


def test_a_char_column_keeps_no_digest_for_like() -> None:
    bind("SELECT name FROM t_user", cache=make_cache(stored={"name_c": "char(99)"}))
    with pytest.raises(MeshError, match="'name_l' of type CHAR"):
        bind("SELECT name FROM t_user", cache=make_cache(stored={"name_l": "char(99)"}))


@pytest.mark.parametrize(
    ("stored", "declared", "value"),
    [("name_h", "varchar(8)", "xxxx"), ("name_l", "varchar(3)", "xxxx"), ("mail", "tinytext", "x" * 64)],
)
def test_all_that_is_stored_of_a_value_must_fit(stored: str, declared: str, value: str) -> None:
    columns = [replace(one, type=kind("TEXT")) for one in COLUMNS]
    cache = make_cache(*columns, stored={stored: declared})
    sql = f"INSERT INTO t_user (id, {stored.partition('_')[0]}) VALUES (1, '{value}')"
    with pytest.raises(MeshError, match="make that column longer"):
        bind(sql, cache=cache)
