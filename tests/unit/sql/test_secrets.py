"""What is shown of statements holds no password of an account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.sql.digest import digest_of
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.secrets import holds_secret, veiled

STATEMENTS = (
    "CREATE USER ann IDENTIFIED BY 'hush'",
    "create user 'ann'@'%' identified\tby 'hush', bob identified by 'hush'",
    "CREATE OR REPLACE USER ann IDENTIFIED VIA mysql_native_password USING PASSWORD('hush')",
    "CREATE USER ann IDENTIFIED WITH caching_sha2_password BY 'hush'",
    "ALTER USER USER() IDENTIFIED BY 'hush' REPLACE 'hush'",
    "ALTER /* x */ USER ann IDENTIFIED /* hush */ BY 'hush'",
    "/* note */ CREATE USER ann /*!50000 IDENTIFIED BY 'hush' */",
    "-- note\nCREATE USER ann IDENTIFIED BY 'hush'",
    "GRANT ALL ON *.* TO ann IDENTIFIED BY 'hush'",
    "SET PASSWORD = 'hush'",
    "SET PASSWORD FOR ann = PASSWORD('hush')",
    "set @x = 1, password = 'hush'",
    "SET STATEMENT max_statement_time = 1 FOR SET PASSWORD = 'hush'",
    "PREPARE s FROM 'CREATE USER ann IDENTIFIED BY ''hush'''",
    "PREPARE s FROM \"SET PASSWORD = 'hush'\"",
    "EXECUTE IMMEDIATE 'CREATE USER ann IDENTIFIED BY \"hush\"'",
    "SET @text = 'CREATE USER ann IDENTIFIED BY ''hush'''",
    "SELECT 1; CREATE USER ann IDENTIFIED BY 'hush'; SELECT 2",
    "SELECT 1; SET PASSWORD = 'hush'",
    "CHANGE MASTER TO MASTER_HOST = 'h', MASTER_PASSWORD = 'hush'",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'hush')",
    "CREATE PROCEDURE p() CREATE USER ann IDENTIFIED BY 'hush'",
    "PREVIEW CREATE USER ann IDENTIFIED BY 'hush'",
    # None of these is a statement.
    "CREATE USER ann IDENTIFED BY 'hush'",
    "CREATE USER ann IDENTIFED BY 'hush",
    "CREATE USER 'ann'@'%' 'hush'",
    "CREATE USER ann IDENTIFIED BY hush",
    'CREATE USER ann IDENTIFIED BY "hush"',
    "GRANT ALL ON *.* TO ann INDENTIFIED BY 'hush'",
)


@pytest.mark.parametrize("text", STATEMENTS)
def test_no_password_is_shown(text: str) -> None:
    assert "hush" in text
    assert "hush" not in veiled(text)
    assert holds_secret(text)
    for flags in (LexerFlags(), LexerFlags(ansi_quotes=True), LexerFlags(no_backslash_escapes=True)):
        shape = fingerprint(text, flags).shape
        if "INDENTIFIED" not in text:
            assert "hush" not in digest_of(shape, flags).text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT password FROM users WHERE name = 'ann'",
        "UPDATE users\nSET password = 'x' WHERE id = 7",
        "INSERT INTO users (password) VALUES ('x')",
        "CREATE TABLE users (id INT, password VARCHAR(20), identified INT)",
        "ALTER TABLE users ADD password INT",
        "ALTER USER ann ACCOUNT LOCK",
        "ALTER USER 'ann'@'%' REQUIRE SSL",
        "DROP USER ann",
        "GRANT SELECT ON shop.* TO 'ann'@'localhost'",
        "SET NAMES utf8mb4",
        "SELECT identified FROM user",
        "",
    ],
)
def test_what_holds_none_stays_as_it_is(text: str) -> None:
    assert veiled(text) is text


def test_who_was_changed_can_still_be_read() -> None:
    assert veiled("CREATE USER 'ann'@'%' IDENTIFIED BY 'hush' ACCOUNT LOCK") == (
        "CREATE USER 'ann'@'%' IDENTIFIED <secret>"
    )
    assert veiled("SET PASSWORD FOR ann = 'hush'") == "SET PASSWORD <secret>"


@given(st.text("SET;'\"/*! -\npasword=CREATUIG@", max_size=60))
def test_any_text_can_be_shown(text: str) -> None:
    shown = veiled(text)
    assert shown == text or len(shown) <= len(text) + len(" <secret>")
