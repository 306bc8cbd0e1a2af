"""Statements of readers with masks: what is planned in their place, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import ColumnSchema
from dbmesh.planner.cache import MaskedPlans, PlanCache
from dbmesh.planner.masked.masks import masks_for
from dbmesh.planner.masked.statement import Passed, Rewritten
from dbmesh.planner.planner import Planner
from dbmesh.planner.session_plan import SelectInto
from dbmesh.rules.masks.rule import MaskedColumn, MaskedTable, Readers
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from tests.unit.planner.conftest import make_shop

ANYBODY = frozenset({"anna"})
REST = "`amount`, `created`, `kind`, `doc`, `flags`, `country`"


class Hidden:
    """A mask that is short to read."""

    def expression(self, column: str, schema: ColumnSchema) -> str:
        return f"HIDE({column})"


def masked_shop(*, real: bool = False) -> Planner:
    shop = make_shop()
    columns = (MaskedColumn("status", Hidden(), Readers(exempt=frozenset({"boss"}))),)
    masks = {"t_order": MaskedTable("t_order", columns, real_predicates=real)}
    return Planner(replace(shop.rule_set, masks=masks), shop.catalog, shop.databases, shop.settings)


def outcome(sql: str, *, real: bool = False, flags: LexerFlags = DEFAULT) -> str | Passed:
    """The statement in its place, or that it is planned as it is."""
    shop = masked_shop(real=real)
    masks = masks_for(shop.rule_set, shop.catalog, ANYBODY)
    assert masks is not None
    found = fingerprint(sql, flags)
    result = shop.masked(found, flags, "shop", masks)
    return result.expansion.text(found.literals) if isinstance(result, Rewritten) else result


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT status, user_id FROM t_order WHERE status = 'x'",
            "SELECT status, user_id FROM (SELECT `user_id`, HIDE(`status`) AS `status` FROM t_order) AS t_order WHERE status = 'x'",
        ),
        (
            "SELECT * FROM t_order o",
            f"SELECT * FROM (SELECT `order_id`, `user_id`, HIDE(`status`) AS `status`, {REST} FROM t_order) o",
        ),
        (
            "TABLE t_order ORDER BY status",
            f"SELECT * FROM (SELECT `order_id`, `user_id`, HIDE(`status`) AS `status`, {REST} FROM t_order) AS t_order ORDER BY status",
        ),
        (
            "REPLACE INTO t_log TABLE t_order",
            f"REPLACE INTO t_log SELECT * FROM (SELECT `order_id`, `user_id`, HIDE(`status`) AS `status`, {REST} FROM t_order) AS t_order",
        ),
        # Of a table that no column of is named one column is read.
        ("SELECT COUNT(*) FROM t_order", "SELECT COUNT(*) FROM (SELECT `order_id` FROM t_order) AS t_order"),
        (
            "SELECT shop.t_order.status FROM shop.t_order",
            "SELECT t_order.status FROM (SELECT HIDE(`status`) AS `status` FROM shop.t_order) AS t_order",
        ),
        (
            "SELECT status FROM t_order o FORCE INDEX (a) WHERE user_id = 1 FOR UPDATE NOWAIT",
            ("SELECT status FROM (SELECT `user_id`, HIDE(`status`) AS `status` FROM t_order FORCE INDEX (a) FOR UPDATE NOWAIT) o  "
            "WHERE user_id = 1 FOR UPDATE NOWAIT"),
        ),
        (
            "INSERT INTO t_user (id, name) SELECT user_id, status FROM t_order",
            ("INSERT INTO t_user (id, name) SELECT user_id, status FROM "
            "(SELECT `user_id`, HIDE(`status`) AS `status` FROM t_order) AS t_order"),
        ),
        (
            "CREATE TABLE x AS SELECT status FROM t_order",
            "CREATE TABLE x AS SELECT status FROM (SELECT HIDE(`status`) AS `status` FROM t_order) AS t_order",
        ),
        (
            "UPDATE t_user SET name = (SELECT MAX(status) FROM t_order) WHERE id = 1",
            ("UPDATE t_user SET name = (SELECT MAX(status) FROM (SELECT HIDE(`status`) AS `status` FROM t_order) AS t_order) "
            "WHERE id = 1"),
        ),
        # Without its own name an item is called by its text as the client wrote it.
        (
            "SELECT (SELECT status FROM t_order LIMIT 1)",
            ("SELECT (SELECT status FROM (SELECT HIDE(`status`) AS `status` FROM t_order) AS t_order LIMIT 1) "
            "AS `(SELECT status FROM t_order LIMIT 1)`"),
        ),
    ],
)  # fmt: skip
def test_a_masked_table_is_read_as_a_view(sql: str, expected: str) -> None:
    assert outcome(sql) == expected


def test_names_are_quoted_as_the_session_reads_them() -> None:
    flags = LexerFlags(ansi_quotes=True)
    assert outcome('SELECT "status" FROM t_order', flags=flags) == (
        'SELECT "status" FROM (SELECT HIDE("status") AS "status" FROM t_order) AS t_order'
    )


def test_conditions_may_compare_real_values() -> None:
    assert outcome("SELECT o.status FROM t_order o WHERE o.status = 'x' ORDER BY status", real=True) == (
        "SELECT o.status FROM (SELECT HIDE(`status`) AS `status`, `status` AS `dbmesh_real_21_status` FROM t_order) o "
        "WHERE o.`dbmesh_real_21_status` = 'x' ORDER BY status"
    )
    # `*` does not mean the real values.
    everything = ", ".join(
        f"`o`.{name}" for name in ("`order_id`", "`user_id`", "`status`", *REST.split(", "))
    )
    found = outcome("SELECT o.*, 1 FROM t_order o JOIN t_user u ON o.status = u.name", real=True)
    assert isinstance(found, str)
    assert found.startswith(f"SELECT {everything}, 1 FROM (SELECT ")
    assert found.endswith(" o JOIN t_user u ON o.`dbmesh_real_19_status` = u.name")
    assert outcome("UPDATE t_order SET amount = 1 WHERE status = 'x'", real=True) is Passed.ALWAYS


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT dbmesh_real_14_status FROM t_order WHERE status = 'x'",
        "SELECT * FROM t_order o JOIN t_user u ON o.status = u.name",
        "SELECT 1 FROM t_order o JOIN t_user u ON o.user_id = u.id WHERE status = 'x'",
        "UPDATE t_order SET country = status",
    ],
)
def test_real_values_reach_nothing_but_conditions(sql: str) -> None:
    with pytest.raises(MeshError, match="not supported"):
        outcome(sql, real=True)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT name FROM t_user WHERE id = 3",
        "WITH x AS (SELECT 1 AS status) SELECT status FROM x",
        "INSERT INTO t_order (order_id, user_id, status) VALUES (1, 2, 'x')",
        "INSERT INTO t_order SET order_id = 1, user_id = 2, status = 'x'",
        "INSERT INTO t_order (order_id, user_id, status) VALUES (1, 2, 'x') ON DUPLICATE KEY UPDATE status = VALUES(status), amount = amount + 1",
        "UPDATE t_order SET status = 'x' WHERE user_id = 1",
        "UPDATE t_order o JOIN t_user u ON u.id = o.user_id SET o.amount = 1 WHERE u.name = 'x'",
        "DELETE FROM t_order WHERE user_id = 1",
        "SELECT status INTO @x FROM t_order",
        "SET @x = (SELECT status FROM t_order)",
        "PREPARE p FROM 'SELECT status FROM t_order'",
        "CREATE TABLE x LIKE t_order",
        "CREATE VIEW x AS SELECT status FROM t_order",
        "DROP TABLE t_order",
        "TRUNCATE t_order",
        "SHOW COLUMNS FROM t_order",
        "DESCRIBE t_order",
        "SELECT table_name FROM information_schema.TABLES",
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t_order (order_id, status)",
        "EXPLAIN SELECT name FROM t_user WHERE id IN (1, 2)",
    ],
)
def test_what_shows_no_masked_value_stays_as_it_is(sql: str) -> None:
    assert isinstance(outcome(sql), Passed)


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN SELECT * FROM t_order",
        "ANALYZE SELECT * FROM t_order",
        "DESC SELECT status FROM t_order",
        "CALL p()",
        "SELECT p()",
        "SELECT shop.p()",
        "SELECT levenshtein(1, 2)",
        "INSERT INTO t_user (id, name) VALUES (1, p())",
        "UPDATE t_user SET name = p()",
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t_user (id, @a) SET name = p(@a)",
        "UPDATE t_order SET amount = 1 WHERE status = 'x'",
        "UPDATE t_order SET country = status",
        "UPDATE t_order AS o SET country = o.status",
        "UPDATE t_order SET amount = 1 ORDER BY status LIMIT 1",
        "UPDATE t_order SET amount = (SELECT 1 FROM t_user WHERE name = t_order.status)",
        "UPDATE t_user u JOIN t_order o USING (status) SET u.name = 1",
        "UPDATE t_user u NATURAL JOIN t_order o SET u.name = 1",
        "UPDATE t_order SET country = ſtatus",
        "WITH t_order AS (SELECT 1 AS status) SELECT status FROM t_order",
        "WITH T_Order AS (SELECT 1 AS status) SELECT status FROM t_order",
        "WITH t_order AS (SELECT 1 AS order_id) DELETE FROM t_order WHERE amount = 1",
        "UPDATE t_order SET country = TRIM(LEADING 'x' FROM status)",
        "UPDATE t_order SET country = DEFAULT(status)",
        "DELETE FROM t_order WHERE status = 'x'",
        "DELETE FROM t_order WHERE user_id = 1 RETURNING *",
        "DELETE FROM t_order WHERE user_id = 1 RETURNING status",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE country = status",
        "INSERT INTO t_order (order_id, user_id) SELECT id, 1 FROM t_user ON DUPLICATE KEY UPDATE country = t_order.status",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) RETURNING *",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) RETURNING CONCAT(status)",
        "ALTER TABLE t_order ADD x VARCHAR(9) AS (status)",
        "RENAME TABLE t_order TO x",
        "CREATE INDEX i ON t_order (status)",
        "CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES t_order (order_id))",
        "CREATE TRIGGER g AFTER INSERT ON t_user FOR EACH ROW SET @a = 1",
        "CREATE PROCEDURE p() SELECT 1",
        "CHECKSUM TABLE t_order",
        "SHOW ENGINE INNODB STATUS",
        "SHOW TABLES WHERE (SELECT status FROM t_order) = 1",
        "SELECT * FROM mysql.column_stats",
        "SELECT * FROM information_schema.COLUMN_STATISTICS",
        "SELECT status FROM t_order PARTITION (p0)",
        "SELECT status FROM t_order FOR SYSTEM_TIME ALL",
        "SELECT a FROM t_order AS x (a)",
    ],
)
def test_what_might_tell_a_masked_value_is_refused(sql: str) -> None:
    with pytest.raises(MeshError, match=r"not supported|SQL syntax"):
        outcome(sql)


def test_the_columns_of_a_unique_key_change_together_or_not_at_all() -> None:
    shop = masked_shop()
    schema = shop.catalog.tables["t_order"]
    tables = {**shop.catalog.tables, "t_order": replace(schema, unique_keys=(("country", "status"),))}
    keyed = Planner(shop.rule_set, replace(shop.catalog, tables=tables), shop.databases, shop.settings)
    masks = masks_for(keyed.rule_set, keyed.catalog, ANYBODY)
    assert masks is not None

    def passes(sql: str) -> bool:
        return isinstance(keyed.masked(fingerprint(sql, DEFAULT), DEFAULT, "shop", masks), Passed)

    assert passes("UPDATE t_order SET country = 'DE', status = 'x'")
    # The error about a duplicate would tell the status the row has.
    for sql in (
        "UPDATE t_order SET country = 'DE'",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE country = 'DE'",
    ):
        with pytest.raises(MeshError, match="a change of a unique key"):
            passes(sql)


def test_a_table_whose_columns_are_not_known_is_not_read() -> None:
    shop = masked_shop()
    tables = {name: schema for name, schema in shop.catalog.tables.items() if name != "t_order"}
    blind = Planner(shop.rule_set, replace(shop.catalog, tables=tables), shop.databases, shop.settings)
    masks = masks_for(blind.rule_set, blind.catalog, ANYBODY)
    assert masks is not None
    with pytest.raises(MeshError, match="whose columns are not known"):
        blind.masked(fingerprint("SELECT amount FROM t_order", DEFAULT), DEFAULT, "shop", masks)


def test_views_are_put_in_place_before_their_tables_are_masked() -> None:
    found = outcome("SELECT order_id FROM v_big")
    assert isinstance(found, str)
    assert "HIDE" not in found
    plans = PlanCache(masked_shop()).seen_by(ANYBODY)
    plan, _ = plans.lookup("SELECT * FROM v_named WHERE number = 1", "shop")
    assert "HIDE(`status`)" in str(plan)


def test_readers_without_masks_share_the_plans_of_all() -> None:
    plans = PlanCache(masked_shop())
    assert plans.seen_by(frozenset({"boss"})) is plans
    assert plans.seen_by(frozenset({"anna", "boss"})) is plans
    masked = plans.seen_by(ANYBODY)
    assert isinstance(masked, MaskedPlans)
    assert plans.seen_by(ANYBODY) is masked
    plan, _ = masked.lookup("SELECT order_id FROM t_order WHERE user_id = 7", "shop")
    again, literals = masked.lookup("SELECT order_id FROM t_order WHERE user_id = 8", "shop")
    assert (plan is again, list(literals)) == (True, ["8"])
    assert isinstance(masked.lookup("SELECT status INTO @x FROM t_order", "shop")[0], SelectInto)


def test_who_reads_masks_in_one_database_reads_them_in_all() -> None:
    shop = masked_shop()
    plain = make_shop()
    other = replace(plain.rule_set, database="other")
    databases = {"shop": shop.rule_set, "other": other}
    plans = PlanCache(Planner(other, plain.catalog, databases, plain.settings))
    assert plans.has_masks
    assert isinstance(plans.seen_by(ANYBODY), MaskedPlans)
    assert plans.seen_by(frozenset({"boss"})) is plans
    with pytest.raises(MeshError, match="CREATE PROCEDURE for users who read masked columns"):
        plans.seen_by(ANYBODY).lookup("CREATE PROCEDURE p() SELECT * FROM secrets.t_order_0", "other")
    assert not PlanCache(plain).has_masks
