"""SET against a real mesh: every connection behaves like the session that uses it."""

from __future__ import annotations

import pymysql
import pytest

from tests.plugins.fix_mesh import Target

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1", 2),
        ("'a''b\\\\c'", "a'b\\c"),
        ("CONCAT('it', '''s')", "it's"),
        ("UNHEX('FF00')", b"\xff\x00"),
        ("UNHEX('')", b""),
        ("NULLIF(1, 1)", None),
    ],
)
def test_a_user_variable_holds_its_value(target: Target, expression: str, value: object) -> None:
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET @v = {expression}")
        cursor.execute("SELECT @v")
        found = cursor.fetchone()
    assert found is not None
    got = found[0].encode() if isinstance(found[0], str) and isinstance(value, bytes) else found[0]
    assert got == value


def test_a_refused_variable_changes_nothing(target: Target) -> None:
    with target.connect() as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError):
            cursor.execute("SET sort_buffer_size = 65536, sql_mode = 'NONSENSE'")
        cursor.execute("SELECT @@sql_mode LIKE '%NONSENSE%'")
        assert cursor.fetchone() == (0,)
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
