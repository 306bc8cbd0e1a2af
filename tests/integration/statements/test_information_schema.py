"""information_schema and SHOW through the mesh: the headers and rows one server sends, in logic names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.equivalence import ask

if TYPE_CHECKING:
    from tests.integration.statements.conftest import Twins

pytestmark = pytest.mark.integration

_ORDER = "WHERE table_schema = 'shop' AND table_name = 't_order'"

STATEMENTS = [
    f"SELECT table_name, Table_Type, ENGINE FROM information_schema.tables {_ORDER}",
    f"SELECT TABLE_NAME, table_schema FROM INFORMATION_SCHEMA.TABLES {_ORDER}",
    f"SELECT `Table_Name` FROM `information_schema`.`Tables` {_ORDER}",
    f"SELECT t.table_name, t.Table_Rows IS NULL FROM information_schema.tables t {_ORDER}",
    f"SELECT tables.table_name FROM information_schema.tables {_ORDER}",
    f"SELECT information_schema.tables.Table_Name FROM information_schema.tables {_ORDER}",
    f"SELECT table_name AS Name FROM information_schema.tables {_ORDER}",
    f"SELECT column_name, Data_Type, IS_NULLABLE FROM information_schema.columns {_ORDER} ORDER BY ordinal_position",
    f"SELECT COUNT(*), count(Table_Name), MAX(table_name) FROM information_schema.columns {_ORDER}",
    f"SELECT index_name, Column_Name FROM information_schema.statistics {_ORDER} ORDER BY index_name",
    f"SELECT constraint_name FROM information_schema.table_constraints {_ORDER}",
    f"SELECT * FROM information_schema.key_column_usage {_ORDER}",
    "SELECT Character_Set_Name FROM information_schema.character_sets WHERE character_set_name = 'latin1'",
    "SHOW TABLES",
    "show full tables like 't_o%'",
    "SHOW FULL COLUMNS FROM t_order",
    "SHOW CREATE TABLE t_order",
    "SHOW INDEX FROM t_country",
    "SHOW TABLE STATUS LIKE 't_config'",
    "SHOW CREATE DATABASE shop",
    "SHOW TRIGGERS",
    "SHOW DATABASES LIKE 'sho%'",
    "SHOW ENGINES",
    "SHOW WARNINGS",
    "SHOW COUNT(*) WARNINGS",
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=[text[:60] for text in STATEMENTS])
def test_headers_are_those_of_one_server(twins: Twins, statement: str) -> None:
    mesh, plain = ask(twins.mesh, statement), ask(twins.plain, statement)
    assert (mesh.error, mesh.text) == (plain.error, plain.text)
    assert [column.name for column in mesh.columns] == [column.name for column in plain.columns]


@pytest.mark.parametrize("statement", STATEMENTS[:11], ids=[text[:60] for text in STATEMENTS[:11]])
def test_rows_are_those_of_one_server(twins: Twins, statement: str) -> None:
    mesh, plain = ask(twins.mesh, statement), ask(twins.plain, statement)
    assert mesh.rows == plain.rows
