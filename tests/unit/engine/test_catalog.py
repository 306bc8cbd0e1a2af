"""Schemas from a real server's information_schema."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.engine.catalog import load_tables, touched_by
from dbmesh.engine.collect import collect
from dbmesh.model import ColumnFamily
from dbmesh.rules.ruleset import DataSourceConfig
from tests.plugins.fix_mysql import ServerFactory

pytestmark = pytest.mark.integration


async def test_columns_and_keys_are_those_of_the_server(mariadb_server: ServerFactory) -> None:
    (server,) = mariadb_server("catalog")
    server.execute("CREATE DATABASE IF NOT EXISTS catalog_test")
    server.execute("DROP TABLE IF EXISTS catalog_test.child, catalog_test.t")
    server.execute(
        "CREATE TABLE catalog_test.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, e ENUM('a','b') NOT NULL, "
        "d DECIMAL(10,2) DEFAULT 1, x VARBINARY(5), n VARCHAR(9) COLLATE utf8mb4_bin, UNIQUE KEY u (n, e))",
        "CREATE OR REPLACE TABLE catalog_test.clocks (a DATETIME DEFAULT NOW(), b TIMESTAMP NULL ON UPDATE NOW(), "
        "c DATE DEFAULT (CURDATE()), d DATETIME DEFAULT '2024-01-01', e INT DEFAULT (UNIX_TIMESTAMP()), f DATETIME)",
    )
    server.execute(
        "CREATE OR REPLACE TABLE catalog_test.child (n VARCHAR(9) COLLATE utf8mb4_bin, KEY k (n), CONSTRAINT f FOREIGN KEY (n) "
        "REFERENCES catalog_test.t (n))"
    )
    config = replace(
        DataSourceConfig(
            "ds", "mysql", server.host, server.port, "catalog_test", server.user, server.password
        )
    )
    connection = await open_mysql(config, Flavour())
    try:
        tables = await load_tables(connection)
    finally:
        await connection.close()
    table = tables["t"]
    assert [(c.name, c.family, c.unsigned, c.nullable) for c in table.columns] == [
        ("id", ColumnFamily.INTEGER, True, False),
        ("e", ColumnFamily.ENUM, False, False),
        ("d", ColumnFamily.DECIMAL, False, True),
        ("x", ColumnFamily.BINARY, False, True),
        ("n", ColumnFamily.TEXT, False, True),
    ]
    assert table.primary_key == ("id",)
    assert table.unique_keys == (("n", "e"),)
    assert (table.guarded, tables["clocks"].guarded) == (True, False)
    assert (tables["child"].indexes, tables["child"].foreign_keys) == ((("n",),), ("f",))
    assert table.columns[0].auto_increment
    assert table.columns[2].has_default
    assert table.columns[4].collation == "utf8mb4_bin"
    assert [c.name for c in tables["clocks"].columns if c.reads_clock] == ["a", "b", "c", "e"]


async def test_what_a_statement_names_is_read_again(mariadb_server: ServerFactory) -> None:
    (server,) = mariadb_server("catalog_again")
    server.execute("CREATE OR REPLACE DATABASE catalog_again")
    for name in ("one", "two", "three"):
        server.execute(f"CREATE TABLE catalog_again.{name} (id INT PRIMARY KEY, a INT UNIQUE)")
    server.execute("CREATE VIEW catalog_again.seen AS SELECT * FROM catalog_again.one")
    config = DataSourceConfig(
        "ds", "mysql", server.host, server.port, "catalog_again", server.user, server.password
    )
    connection = await open_mysql(config, Flavour())
    try:
        known = await load_tables(connection)
        for statement in (
            "ALTER TABLE `one` ADD b VARCHAR(5), DROP COLUMN a",
            "CREATE TABLE four (id INT PRIMARY KEY, CONSTRAINT f FOREIGN KEY (id) REFERENCES two (id))",
            "CREATE OR REPLACE VIEW four_seen AS SELECT id FROM four",
            "CREATE TRIGGER t BEFORE INSERT ON three FOR EACH ROW SET NEW.a = UNIX_TIMESTAMP()",
            "RENAME TABLE three TO five",
            "CREATE TABLE `İx` (id INT PRIMARY KEY)",
            "CREATE TABLE Mixed (id INT PRIMARY KEY, `two` INT)",
            "ALTER TABLE Mixed DROP COLUMN `two`",
            "CREATE TABLE noted (id INT PRIMARY KEY COMMENT '🐬')",
            "DROP TABLE four",
            "DROP VIEW seen, four_seen",
        ):
            await collect(connection, statement.encode())
            touched = touched_by([statement])
            known = await load_tables(connection, known, touched)
            assert known == await load_tables(connection), statement
    finally:
        await connection.close()
