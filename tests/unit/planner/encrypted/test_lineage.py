"""Encrypted columns in queries inside queries, and names that are no columns."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from tests.unit.planner.encrypted.shown import AES, Shown, bind, column, first, make_cache


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT x.n FROM (SELECT name AS n FROM t_user WHERE id = 1) x",
            "SELECT x.n FROM (SELECT `name_c` AS n FROM t_user WHERE id = 1) x",
        ),
        (
            "SELECT n, m FROM (SELECT id, name AS n, mail AS m FROM t_user WHERE id = 1) x WHERE n = 'a' AND m IN ('b')",
            (
                "SELECT n, m FROM (SELECT id, `name_c` AS n, mail AS m, `t_user`.`name_h` AS `dbmesh_digest_1` "
                "FROM t_user WHERE id = 1) x WHERE `dbmesh_digest_1` = 'hash<a>' AND `m` IN ('aes<b>')"
            ),
        ),
        (
            "WITH c (i, n) AS (SELECT id, name FROM t_user WHERE id = 1) SELECT c.* FROM c WHERE c.n <> 'a'",
            (
                "WITH c (i, n, `dbmesh_digest_1`) AS (SELECT id, `t_user`.`name_c` AS name, `t_user`.`name_h` AS `dbmesh_digest_1` "
                "FROM t_user WHERE id = 1) SELECT `c`.`i`, `c`.`n` FROM c WHERE c.`dbmesh_digest_1` <> 'hash<a>'"
            ),
        ),
        (
            "SELECT y.n FROM (SELECT x.name AS n FROM (SELECT * FROM t_user WHERE id = 1) x) y WHERE y.n = 'a'",
            (
                "SELECT y.n FROM (SELECT x.name AS n, `x`.`dbmesh_digest_1` AS `dbmesh_digest_0` FROM (SELECT `t_user`.`id`, "
                "`t_user`.`name_c` AS `name`, `t_user`.`mail` AS `mail`, `t_user`.`age_c` AS `age`, `t_user`.`note_c` AS "
                "`note`, `t_user`.`phone`, `t_user`.`city`, `t_user`.`name_h` AS `dbmesh_digest_1` FROM t_user WHERE id = 1) x) y "
                "WHERE y.`dbmesh_digest_0` = 'hash<a>'"
            ),
        ),
        (
            "SELECT name FROM t_user WHERE id = 1 UNION ALL SELECT NULL UNION ALL SELECT name FROM t_user WHERE id = 1",
            (
                "SELECT `t_user`.`name_c` AS name FROM t_user WHERE id = 1 UNION ALL SELECT NULL UNION ALL "
                "SELECT `t_user`.`name_c` AS name FROM t_user WHERE id = 1"
            ),
        ),
        (
            "SELECT n FROM (SELECT name AS n FROM t_user WHERE id = 1 UNION ALL SELECT NULL FROM t_user WHERE id = 1) x WHERE n = 'a'",
            (
                "SELECT n FROM (SELECT `t_user`.`name_c` AS n, `t_user`.`name_h` AS `dbmesh_digest_0` FROM t_user WHERE id = 1 "
                "UNION ALL SELECT NULL, NULL AS `dbmesh_digest_0` FROM t_user WHERE id = 1) x "
                "WHERE `x`.`dbmesh_digest_0` = 'hash<a>'"
            ),
        ),
        (
            "SELECT id FROM t_user WHERE id = 1 AND name IN (SELECT u.name FROM t_user u WHERE u.id = 1)",
            (
                "SELECT id FROM t_user WHERE id = 1 AND `t_user`.`name_h` IN (SELECT u.`name_h` AS name FROM t_user u "
                "WHERE u.id = 1)"
            ),
        ),
        (
            "SELECT (SELECT name FROM t_user u WHERE u.id = 1) AS n FROM t_user WHERE id = 1",
            "SELECT (SELECT `u`.`name_c` AS name FROM t_user u WHERE u.id = 1) AS n FROM t_user WHERE id = 1",
        ),
        (
            "SELECT id, a.city, name FROM t_user a JOIN t_user b USING (id, name) WHERE id = 1",
            (
                "SELECT `a`.id, a.city, `a`.`name_c` AS name FROM t_user a JOIN t_user b ON `a`.`id` = `b`.`id` AND "
                "`a`.`name_h` = `b`.`name_h` WHERE `a`.id = 1"
            ),
        ),
        (
            "EXPLAIN SELECT name FROM t_user WHERE id = 1 AND mail = 'x'",
            "EXPLAIN SELECT `name_c` AS name FROM t_user WHERE id = 1 AND `mail` = 'aes<x>'",
        ),
        (
            "EXPLAIN UPDATE t_user SET mail = 'x' WHERE id = 1",
            "EXPLAIN UPDATE t_user SET `mail` = 'aes<x>' WHERE id = 1",
        ),
    ],
)
def test_encrypted_columns_are_followed(sql: str, expected: str) -> None:
    found = first(sql)
    for alias in "abu":
        found = found.replace(f"t_user AS {alias}", f"t_user {alias}")
    assert found == expected


def test_what_is_decrypted_of_inner_queries() -> None:
    for sql, places in (
        ("SELECT city, n FROM (SELECT city, name AS n FROM t_user) x", {1: "name"}),
        ("SELECT * FROM (SELECT city, name AS n, mail FROM t_user) x", {1: "name", 2: "mail"}),
        ("SELECT NULL, id FROM t_user UNION ALL SELECT name, id FROM t_user", {0: "name"}),
        ("SELECT city AS n FROM (SELECT name AS n, city FROM t_user) x", {}),
        ("SELECT DISTINCT mail FROM t_user", {0: "mail"}),
        ("SELECT x.n FROM (SELECT mail AS n FROM t_user) x", {0: "mail"}),
        (
            (
                "WITH RECURSIVE c (i, n) AS (SELECT id, name FROM t_user WHERE id = 1 UNION ALL "
                "SELECT u.id, u.name FROM t_user u JOIN c ON u.id = c.i + 1 AND u.name = c.n) SELECT n FROM c"
            ),
            {0: "name"},
        ),
    ):
        decryption = bind(sql).decryption
        columns = {} if decryption is None else {one.place: one.column.name for one in decryption.columns}
        assert columns == places, sql


@pytest.mark.parametrize(
    ("sql", "clause"),
    [
        ("SELECT name_c FROM t_user", "'name_c' in 'SELECT'"),
        ("SELECT id FROM t_user WHERE phone_c = 'x'", "'phone_c' in 'WHERE'"),
        ("SELECT id FROM t_user WHERE nome = 'secret'", "'nome' in 'WHERE'"),
        ("SELECT id FROM t_user u WHERE u.nome IN ('secret')", "'u.nome' in 'WHERE'"),
        ("SELECT id FROM t_user u JOIN t_country c ON c.nome = 'secret'", "'c.nome' in 'ON'"),
        ("SELECT id FROM t_user GROUP BY id HAVING nome = 'secret'", "'nome' in 'HAVING'"),
        ("SELECT id FROM t_user WHERE EXISTS (SELECT 1 FROM t_country WHERE nome = 'secret')", "'nome'"),
        ("SELECT id FROM (SELECT id FROM t_user) x WHERE name = 'secret'", "'name' in 'WHERE'"),
        ("SELECT id, (SELECT nome = 'secret') AS x FROM t_user", "'nome' in 'SELECT'"),
        ("DELETE FROM t_user WHERE nome = 'secret'", "'nome' in 'WHERE'"),
        ("UPDATE t_user SET city = 'c' WHERE nome = 'secret'", "'nome' in 'WHERE'"),
        ("INSERT INTO t_user (id, city) SELECT 1, code FROM t_country WHERE name = 'secret'", "'name'"),
        ("INSERT INTO t_user (id, nome) SELECT 1, 'secret' FROM t_country", "'nome' in 'INSERT INTO'"),
    ],
)
def test_a_misspelt_column_is_asked_for_nowhere(sql: str, clause: str) -> None:
    with pytest.raises(MeshError) as raised:
        bind(sql)
    assert raised.value.number == 1054
    assert clause in str(raised.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT UTC_DATE, CURRENT_USER, GET_FORMAT(DATE, 'EUR') FROM t_user WHERE name = 'x'",
        "SELECT TIMESTAMPDIFF(MINUTE, city, NOW()), city + INTERVAL 1 DAY, EXTRACT(DAY FROM city) FROM t_user",
        "SELECT city AS c, COUNT(*) AS n FROM t_user GROUP BY c HAVING n > 1 ORDER BY n, c",
        "SELECT ROW_NUMBER() OVER w AS n FROM t_user WINDOW w AS (PARTITION BY city)",
        "SELECT CONVERT(city USING utf8mb4), CAST(city AS CHAR), city COLLATE utf8mb4_bin FROM t_user",
        "SELECT u.id FROM t_user u WHERE EXISTS (SELECT 1 FROM t_country c WHERE c.code = u.city AND title = city)",
        "UPDATE t_user SET city = DEFAULT WHERE id = 1",
        "SELECT id FROM t_user PARTITION (p0) WHERE id = 1",
        "INSERT INTO t_user (id, city) VALUES (1, CONCAT(UTC_DATE, -id, CASE WHEN city THEN 1 ELSE NULL END))",
        "INSERT INTO t_user (id) VALUES (1) ON DUPLICATE KEY UPDATE city = CONCAT(VALUES(city), city, NOW() + INTERVAL 1 DAY)",
        "SELECT j.q, q FROM t_user, JSON_TABLE('[]', '$[*]' COLUMNS (q INT PATH '$')) j WHERE id = 1",
    ],
)
def test_words_that_are_no_columns(sql: str) -> None:
    bind(sql)


def test_equal_names_of_encryptors_are_no_equal_keys() -> None:
    """Two logic databases may call different keys alike."""
    cache = make_cache(column("name", "name_c", AES), column("mail", "mail", Shown("other"), written="aes"))
    for sql, reason in (
        ("SELECT id FROM t_user WHERE name = mail", "which are encrypted otherwise"),
        ("SELECT name FROM t_user UNION ALL SELECT mail FROM t_user", "that is not encrypted alike"),
    ):
        with pytest.raises(MeshError, match=reason):
            bind(sql, cache=cache)
