"""DDL: what its plans tell the session, and names that would be too long."""

from contextlib import suppress
from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.alter_reading import read_key_changes
from dbmesh.planner.ddl import plan_ddl
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.planner.plan import ShardPlan, Verb
from tests.plugins.planner_world import RULES, context_of


def planned(sql: str) -> ShardPlan:
    plan = plan_ddl(context_of(sql))
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE t_new (id INT)", "DROP TABLE t_order", "TRUNCATE t_order", "RENAME TABLE t_config TO x"],
)
def test_ddl_commits_what_is_open(sql: str) -> None:
    plan = planned(sql)
    assert (plan.verb, plan.implicit_commit, plan.opens_transaction) == (Verb.DDL, True, False)


def test_constraint_names_that_grow_too_long_are_refused() -> None:
    name = "c" * 60
    with pytest.raises(MeshError, match="too long"):
        plan_ddl(
            context_of(
                f"ALTER TABLE t_order ADD CONSTRAINT {name} FOREIGN KEY (status) REFERENCES t_country (code)"
            )
        )


@pytest.mark.parametrize("sql", ["SELECT 1", "SHOW TABLES", "SET a = 1"])
def test_other_statements_are_not_its_own(sql: str) -> None:
    assert plan_ddl(context_of(sql)) is None


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t_new (id INT)",
        "CREATE VIEW t_new AS SELECT 1",
        "RENAME TABLE t_config TO t_new",
        "ALTER TABLE t_config RENAME TO t_new",
    ],
)
def test_a_table_that_would_not_be_found_again_is_not_made(sql: str) -> None:
    listed = replace(RULES, single_tables=("*.t_config",))
    with pytest.raises(MeshError, match=r"a table 't_new' on 'ds_\d', which the rule !SINGLE does not list"):
        plan_ddl(context_of(sql, rules=listed))
    assert plan_ddl(context_of(sql, rules=replace(RULES, single_tables=("*.*",)))) is not None


@pytest.mark.parametrize(
    "sql",
    [
        (
            "CREATE TABLE t_new (id INT PRIMARY KEY, a INT REFERENCES p (id) ON DELETE SET NULL, CONSTRAINT f FOREIGN KEY "
            "(a, id) REFERENCES p (x, y) ON UPDATE NO ACTION, KEY k USING BTREE (a)) COLLATE = utf8mb4_bin"
        ),
        "CREATE OR REPLACE UNIQUE INDEX IF NOT EXISTS i USING BTREE ON t_config (a)",
        "DROP INDEX i ON t_config",
        "CREATE VIEW IF NOT EXISTS v AS SELECT 1",
        "CREATE TRIGGER IF NOT EXISTS g BEFORE INSERT ON t_config FOR EACH ROW SET @a = 1",
        "CREATE SEQUENCE IF NOT EXISTS s START WITH 1",
        (
            "ALTER TABLE IF EXISTS t_config ADD COLUMN b INT FIRST, ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES p (b), DROP "
            "FOREIGN KEY IF EXISTS g, CHANGE COLUMN a c INT, RENAME COLUMN d TO e, RENAME INDEX i TO j, RENAME TO k"
        ),
        "RENAME TABLE t_config TO a, t_country TO b",
        "DROP TABLE IF EXISTS t_config, t_country",
        "TRUNCATE TABLE t_config",
        "ANALYZE LOCAL TABLE t_config",
    ],
)
def test_a_statement_that_stops_short_is_read_to_its_end(sql: str) -> None:
    rules = replace(RULES, auto_shards=4)
    for lexeme in split_lexemes(sql):
        text = sql[: lexeme.end]
        for read in (read_key_changes, lambda text: plan_ddl(context_of(text, rules=rules))):
            with suppress(MeshError):
                read(text)
