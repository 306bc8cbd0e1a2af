"""Encrypted columns: clients read and write them as on one server that holds plain text, and no data source holds any.

The plain server is the whole proof of the answers; of the secrecy it is a search through all rows of the data sources.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbmesh.cli.main import run
from tests.integration.statements.encrypted_statements import INNER, METADATA, READS, REFUSED, ROWS, WRITES
from tests.integration.statements.vault import (
    DECLARED,
    EXACT,
    KEY,
    SCHEMA,
    TABLES,
    Vault,
    open_vault,
    plain_columns,
)
from tests.plugins import shop as shop_data
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh


@pytest.fixture(scope="module")
def vault(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    yield from open_vault(shop, tmp_path_factory.mktemp("vault"))


def test_answers_are_those_of_plain_text(vault: Vault) -> None:
    for table in TABLES:
        vault.same(f"INSERT INTO {table} VALUES {ROWS}")
        for statement in READS:
            vault.same(statement.format(t=table))
        for statement in INNER:
            vault.same(statement.format(t=table))
        for statement in (
            "EXPLAIN SELECT name FROM {t} WHERE name = 'Ada'",
            "EXPLAIN UPDATE {t} SET name = 'x' WHERE id = 1",
        ):
            told = ask(vault.on_mesh, statement.format(t=table))
            assert told.error is None, statement + told.text
            assert told.rows
            assert "Ada" not in repr(told.rows), statement
        for statement in METADATA:
            mesh, plain = (ask(one, statement.format(t=table)) for one in (vault.on_mesh, vault.on_plain))
            assert (mesh.error, mesh.rows) == (plain.error, plain.rows), statement + mesh.text
        for statement in REFUSED:
            vault.refused(statement.format(t=table))
        for statement in WRITES:
            vault.same(statement.format(t=table))
            vault.same(f"SELECT * FROM {table} ORDER BY id")


def test_definitions(vault: Vault) -> None:
    for table in ("person", "alone"):
        vault.same(f"ALTER TABLE {table} ADD COLUMN zip VARCHAR(9), ADD KEY k_city (city)")
        vault.same(f"INSERT INTO {table} (id, name, zip) VALUES (80, 'zipped', '1')")
        vault.same(f"SELECT * FROM {table} WHERE id = 80")
        vault.same(f"ALTER TABLE {table} DROP COLUMN zip")
        vault.same(f"DELETE FROM {table} WHERE id = 80")
    assert "which the rules call VARCHAR(60)" in vault.refused(
        "CREATE TABLE person (id INT, name VARCHAR(61))"
    )
    declared = ", ".join(DECLARED).replace("age INT", "age INT NOT NULL")
    unique = f"id BIGINT PRIMARY KEY, {declared}, UNIQUE KEY (name), KEY k_email (email, city)"
    vault.refused(f"CREATE TABLE alone ({unique.replace('(name)', '(name(5))')}, city VARCHAR(9))")
    vault.same("DROP TABLE alone")
    vault.same(f"CREATE TABLE alone ({unique}, city VARCHAR(9))")
    vault.refused("INSERT INTO alone (id, name) VALUES (1, 'one')")
    vault.same("INSERT INTO alone (id, name, age) VALUES (1, 'one', 1)")
    vault.same("INSERT INTO alone (id, name, age) VALUES (2, 'one', 1)")
    found = ask(vault.on_mesh, "INSERT INTO alone (id, name, age) VALUES (3, 'x', NULL)")
    assert (found.error, "'age'" in found.text) == (1048, True), found
    vault.same(
        "INSERT INTO alone (id, name, age) VALUES (2, 'two', 2) ON DUPLICATE KEY UPDATE name = VALUES(name)"
    )
    vault.same("DROP TABLE alone")
    vault.same(f"CREATE TABLE alone ({plain_columns()})")


def test_transactions_that_undo_by_images(vault: Vault) -> None:
    vault.same("INSERT INTO person (id, name, age) VALUES (81, 'one', 1), (82, 'two', 2)")
    before = ask(vault.on_mesh, "SELECT * FROM person ORDER BY id")
    for end in ("ROLLBACK", "COMMIT"):
        for statement in (
            "/* DBMESH_HINT: TRANSACTION_TYPE=BASE */ BEGIN",
            "UPDATE person SET name = 'three', note = 'n' WHERE age IN (1, 2)",
            "DELETE FROM person WHERE name = 'three' AND id = 82",
            "INSERT INTO person (id, name) VALUES (83, 'four')",
            end,
        ):
            found = ask(vault.on_mesh, statement)
            assert found.error is None, f"{statement}: {found.text}"
        after = ask(vault.on_mesh, "SELECT * FROM person ORDER BY id")
        assert (after.rows == before.rows) is (end == "ROLLBACK")
    vault.on_plain.cursor().execute("UPDATE person SET name = 'three', note = 'n' WHERE id = 81")
    vault.on_plain.cursor().execute("DELETE FROM person WHERE id = 82")
    vault.on_plain.cursor().execute("INSERT INTO person (id, name) VALUES (83, 'four')")
    vault.same("SELECT * FROM person ORDER BY id")
    vault.same("DELETE FROM person WHERE id > 80")


def test_other_character_sets_and_sql_modes(vault: Vault) -> None:
    for setting in (
        "SET NAMES latin1",
        "SET NAMES utf8mb3",
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
    ):
        charset = "latin1" if "latin1" in setting else "utf8mb4"
        mesh = vault.mesh.connect(SCHEMA, charset=charset)
        plain = pymysql.connect(
            host=vault.plain.host, port=vault.plain.port, user=vault.plain.user, password=vault.plain.password,
            database=SCHEMA, autocommit=True, charset=charset,
        )  # fmt: skip
        # MySQL warns of old names of character sets, which the mesh does not pass on.
        assert ask(mesh, setting).error == ask(plain, setting).error is None
        for statement in (
            "INSERT INTO person (id, name, email) VALUES (85, 'Müßig\\\\x', 'é')",
            "SELECT id, name, email FROM person WHERE email = 'é' AND id = 85",
            "SELECT id, name FROM person WHERE name = 'Müßig\\\\x'",
            "UPDATE person SET name = 'Ärger' WHERE id = 85",
            "SELECT name, note FROM person WHERE id IN (4, 85) ORDER BY id",
            "DELETE FROM person WHERE name = 'Ärger'",
        ):
            told, expected = ask(mesh, statement), ask(plain, statement)
            assert told == expected, f"{setting}: {statement}"
        if "sql_mode" not in setting:
            ask(mesh, "INSERT INTO person (id, name) VALUES (86, 'Öl')")
            assert ask(mesh, "SELECT id FROM person WHERE name LIKE 'Ö_'").rows == ((86,),)
            ask(mesh, "DELETE FROM person WHERE id = 86")
        mesh.close()
        plain.close()


def test_load_data(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text(
        "90,Loaded,l@example.org,5,1.50,2024-02-29,2024-02-29 01:02:03.500,note,Ulm,1.5\n91,\\N,,6,2,\\N,\\N,\\N,Bonn,2\n"
    )
    answers = []
    for connection in (
        vault.mesh.connect(SCHEMA, local_infile=True),
        pymysql.connect(
            host=vault.plain.host, port=vault.plain.port, user=vault.plain.user, password=vault.plain.password,
            database=SCHEMA, autocommit=True, charset="utf8mb4", local_infile=True,
        ),
    ):  # fmt: skip
        load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE person CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
        answers.append(ask(connection, load))
        connection.close()
    assert answers[0] == answers[1]
    vault.same("SELECT * FROM person ORDER BY id")
    vault.same("DELETE FROM person WHERE id > 89")


def test_prepared_statements(vault: Vault) -> None:
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 500_000)
    values = (
        50,
        "Prepared",
        "p@example.org",
        7,
        Decimal("1.25"),
        datetime.date(2024, 2, 29),
        moment,
        "n",
        "Ulm",
        1.1,
    )
    vault.same_prepared(f"INSERT INTO person VALUES ({', '.join('?' * 10)})", values)
    vault.same_prepared(
        "INSERT INTO person (id, name, weight) VALUES (?, ?, ?), (?, ?, ?)", (51, "A", 3.3, 52, None, 1.5)
    )
    vault.same_prepared("SELECT * FROM person WHERE id > ?", (49,))
    vault.same_prepared(
        "INSERT INTO person (id, name, weight) SELECT id + ?, name, ? FROM person WHERE name = ?", (5, 3, "A")
    )
    vault.same_prepared("SELECT id, weight FROM person WHERE name = ? AND id > ?", ("Prepared", 3))
    vault.same_prepared("SELECT id, name FROM person WHERE name IN (?, ?)", ("A", "Prepared"))
    vault.same_prepared("SELECT id, name FROM person WHERE name LIKE ?", ("Prep%",))
    vault.same_prepared("UPDATE person SET name = ?, born = ? WHERE id = ?", ("B", None, 51))
    vault.same_prepared("DELETE FROM person WHERE email = ?", ("p@example.org",))
    vault.same("SELECT * FROM person ORDER BY id")


def test_statements_over_two_logic_databases(vault: Vault) -> None:
    columns = ", ".join(DECLARED[:3])
    vault.same("DELETE FROM alone")
    vault.same(
        "INSERT INTO alone (id, name, email, age) VALUES (1, 'Ada', 'a@x', 36), (2, 'Bob', 'b@x', NULL)"
    )
    vault.same(
        f"CREATE TABLE safe.guest (id INT PRIMARY KEY, {columns}, code CHAR(4) {EXACT}, city VARCHAR(9))"
    )
    for statement in (
        "INSERT INTO safe.guest VALUES (1, 'Ada', 'a@x', 36, 'A 1', 'Ulm'), (2, 'Eve', 'e@x', NULL, '', NULL)",
        "SELECT id, code FROM safe.guest WHERE code = 'A 1' OR code = 'a 1' OR code = ''",
        "SELECT code FROM safe.guest WHERE code LIKE 'A _'",
        "SELECT column_type, character_octet_length FROM information_schema.columns WHERE table_name = 'guest' AND table_schema = 'safe' AND column_name = 'code'",
        "SELECT * FROM safe.guest ORDER BY id",
        "SELECT g.id, g.name, g.email FROM safe.guest g WHERE g.name IN ('Ada', 'Bob') AND g.age = 36",
        "SELECT a.id, a.name, g.* FROM alone a JOIN safe.guest g ON g.email = a.email AND g.name = a.name",
        "SELECT a.name FROM alone a WHERE a.email IN (SELECT email FROM safe.guest WHERE name = 'Ada')",
        "SELECT email FROM alone UNION SELECT email FROM safe.guest",
        "SELECT x.name, x.age FROM (SELECT name, age FROM safe.guest) x WHERE x.name = 'Eve'",
        "INSERT INTO safe.guest (id, name, age) SELECT id + 10, name, age FROM alone",
        "UPDATE safe.guest SET name = 'Eva', age = 9 WHERE email = 'e@x'",
        "SELECT id, name, age FROM safe.guest ORDER BY id",
    ):
        vault.same(statement)
    for statement in (
        "SELECT a.id FROM alone a JOIN safe.guest g ON g.age = a.age",
        "SELECT age FROM alone UNION SELECT age FROM safe.guest",
        "SELECT id FROM safe.guest WHERE code = 'A 1 '",
        "SELECT name FROM alone UNION ALL SELECT name FROM safe.guest",
        "UPDATE alone a JOIN safe.guest g ON g.email = a.email SET a.name = 'x'",
    ):
        vault.refused(statement)
    with vault.sources[1].connect("safe_1") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM guest")
        assert not [one for one in ("Ada", "Eva", "a@x", "36") if one in repr(cursor.fetchall())]
    vault.same("DROP TABLE safe.guest")


def test_data_sources_are_told_no_plain_text(vault: Vault) -> None:
    """What they write into their logs of statements."""
    for server in vault.sources:
        server.execute("SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = 1")
    try:
        for statement in (f"REPLACE INTO person VALUES {ROWS}", *READS, *INNER, *REFUSED):
            ask(vault.on_mesh, statement.replace("{t}", "person"))
    finally:
        for server in vault.sources:
            server.execute("SET GLOBAL general_log = 0")
        ask(vault.on_plain, f"REPLACE INTO person VALUES {ROWS}")
    told = ""
    for server in vault.sources:
        told += repr(server.execute("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log"))
        server.execute("TRUNCATE TABLE mysql.general_log", "SET GLOBAL log_output = 'FILE'")
    assert "dbmesh_digest_" in told
    assert not [one for one in ("Lovelace", "ada@", "1815-12-10", "secret", "99999999.99") if one in told]


def test_data_sources_hold_no_plain_text(vault: Vault) -> None:
    secrets = ("Turing", "alan@example.org", "19120623", "1912-06-23", "7777.77", "secret note")
    for table in TABLES:
        vault.same(
            f"INSERT INTO {table} (id, name, email, age, balance, born, note) VALUES "
            "(60, 'Turing', 'alan@example.org', 19120623, 7777.77, '1912-06-23', 'secret note')"
        )
        vault.same(f"UPDATE {table} SET note = 'secret note 2' WHERE name = 'Turing'")
    stored = vault.stored()
    assert not [secret for secret in secrets if secret in stored]
    assert not [secret for secret in (KEY,) if secret in vault.mesh.output()]


def test_what_cannot_be_decrypted_is_an_error(vault: Vault) -> None:
    number, server = 1, vault.sources[1]
    vault.same("INSERT INTO alone (id, name) VALUES (61, 'x')")
    server.execute(f"UPDATE {SCHEMA}_{number}.alone SET name_cipher = 'k1:AAAA' WHERE id = 61")
    limited = vault.mesh.connect(SCHEMA)
    ask(limited, "SET sql_select_limit = 1")
    assert ask(limited, "SELECT id FROM person WHERE name LIKE 'A%'").error == 1235
    limited.close()
    found = ask(vault.on_mesh, "SELECT name FROM alone WHERE id = 61")
    assert (found.error, "'name'" in found.text, "AAAA" in found.text) == (1105, True, False)
    assert ask(vault.on_mesh, "SELECT id FROM alone WHERE id = 61").rows == ((61,),)
    server.execute(f"DELETE FROM {SCHEMA}_{number}.alone WHERE id = 61")
    vault.on_plain.cursor().execute("DELETE FROM alone WHERE id = 61")


_LEGACY = """rules:
- !SHARDING
  autoTables:
    legacy:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: mod_2}}}}
  shardingAlgorithms:
    mod_2: {{type: MOD, props: {{sharding-count: 2}}}}
- !SINGLE
  tables: ["ds_0.nothing"]
- !ENCRYPT
  tables:
    legacy:
      columns:
        phone: {{cipher: {{name: phone_cipher, encryptorName: aes}}, assistedQuery: {{name: phone_eq, encryptorName: hmac}},
                likeQuery: {{name: phone_like, encryptorName: like}}, dataType: VARCHAR(20){plain}}}
        born: {{cipher: {{name: born_cipher, encryptorName: aes}}, dataType: DATE{plain}}}
  encryptors:
    aes: {{type: AES, keys: {keys}}}
    hmac: {{type: HMAC_SHA256, keys: {keys}}}
    like: {{type: CHAR_DIGEST_LIKE}}
"""
_K1, _K2 = "{id: k1, value: 'the first key, long enough'}", "{id: k2, value: 'the second key, long enough'}"


def test_a_table_with_rows_is_encrypted_while_it_is_used(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, server in enumerate(vault.sources):
        schema = f"{SCHEMA}_{number}"
        rows = ", ".join(
            f"({id_}, {'NULL' if id_ == 8 else repr('0' + str(id_))}, '2000-01-0{1 + id_ % 9}')"
            for id_ in range(number, 60, 2)
        )
        server.execute(
            f"CREATE TABLE {schema}.legacy_{number} (id BIGINT PRIMARY KEY, phone VARCHAR(20), phone_cipher VARCHAR(200), phone_eq "
            "VARCHAR(120), phone_like VARCHAR(40), born DATE, born_cipher VARCHAR(100), "
            "seen TIMESTAMP NOT NULL DEFAULT '2001-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP)",
            f"INSERT INTO {schema}.legacy_{number} (id, phone, born) VALUES {rows}",
        )
    read = "SELECT * FROM legacy ORDER BY id"

    def under(plain: str, *keys: str) -> tuple[Mesh, pymysql.Connection[Any]]:
        directory = tmp_path / f"{plain}{len(keys)}{keys[-1][5:7]}".strip(", :")
        directory.mkdir()
        source = (vault.mesh.configuration / f"database-{SCHEMA}.yaml").read_text().partition("rules:")[0]
        (directory / "global.yaml").write_text(shop_data.global_yaml())
        rules = _LEGACY.format(plain=plain, keys=f"[{', '.join(keys)}]")
        (directory / f"database-{SCHEMA}.yaml").write_text(source + rules)
        mesh = Mesh(directory, directory / "mesh.log").start()
        return mesh, mesh.connect(SCHEMA)

    def work(mesh: Mesh, verb: str) -> int:
        assert (
            run(["encrypt", verb, "legacy", "--config", str(mesh.configuration), "--chunk", "7", "--json"])
            == 0
        )
        return sum(node["changed"] for node in json.loads(capsys.readouterr().out))

    mesh, client = under(", plain: true", _K1)
    ask(client, "UPDATE legacy SET phone = '555' WHERE phone = '05'")
    ask(client, "INSERT INTO legacy (id, phone) VALUES (60, '060')")
    before = ask(client, read)
    assert (
        ask(client, "SELECT COUNT(*) FROM legacy WHERE phone LIKE '%5' AND born > '2000-01-02'").rows[0][0]
        > 2
    )
    # The row that was inserted is complete already; of the updated one the other column is filled.
    assert work(mesh, "backfill") == 60
    ask(client, "UPDATE legacy SET phone = '666' WHERE id = 6")
    assert work(mesh, "backfill") == 0
    before = ask(client, read)
    assert ask(client, "SELECT * FROM (SELECT * FROM legacy) x ORDER BY id").rows == before.rows
    assert ask(client, "SELECT COUNT(*) FROM legacy a NATURAL JOIN legacy b").rows[0][0] > 50
    client.close()
    mesh.stop_cleanly()

    mesh, client = under("", _K1)
    for number, server in enumerate(vault.sources):
        server.execute(f"ALTER TABLE {SCHEMA}_{number}.legacy_{number} DROP COLUMN phone, DROP COLUMN born")
    assert ask(client, read).rows == before.rows
    assert [column.name for column in ask(client, read).columns] == ["id", "phone", "born", "seen"]
    client.close()
    mesh.stop_cleanly()

    mesh, client = under("", _K1, _K2)
    ask(client, "UPDATE legacy SET phone = '777' WHERE phone = '07'")
    for phone in ("777", "011"):
        assert len(ask(client, f"SELECT id FROM legacy WHERE phone = '{phone}'").rows) == 1
    before = ask(client, read)
    assert work(mesh, "rotate") == 61
    assert work(mesh, "rotate") == 0
    client.close()
    mesh.stop_cleanly()

    mesh, client = under("", _K2)
    assert ask(client, read).rows == before.rows
    assert ask(client, "SELECT id FROM legacy WHERE phone LIKE '77_'").rows == ((7,),)
    client.close()
    mesh.stop_cleanly()


_names = st.sampled_from(("Ada", "ada", "Ada ", "Ä", "", "日本", "a'b", "a\\b", "%", "_", "🎉"))
_ages = st.sampled_from((0, 1, -1, 2147483647))
_conditions = st.one_of(
    _names.map(lambda name: f"name = {_quoted(name)}"),
    _names.map(lambda name: f"name <> {_quoted(name)}"),
    st.lists(_names, min_size=1, max_size=3).map(
        lambda names: f"email NOT IN ({', '.join(map(_quoted, names))})"
    ),
    _ages.map(lambda age: f"age = {age}"),
    st.just("name IS NULL"),
    st.integers(0, 12).map(lambda number: f"id < {number}"),
)
_written = st.tuples(_names, _names, _ages).map(
    lambda row: f"name = {_quoted(row[0])}, email = {_quoted(row[1])}, age = {row[2]}"
)
_statements = st.one_of(
    st.tuples(st.integers(0, 12), _names, _names, _ages).map(
        lambda row: (
            f"REPLACE INTO person (id, name, email, age) VALUES ({row[0]}, {_quoted(row[1])}, {_quoted(row[2])}, {row[3]})"
        )
    ),
    st.tuples(_written, _conditions).map(lambda parts: f"UPDATE person SET {parts[0]} WHERE {parts[1]}"),
    st.tuples(_conditions, _conditions).map(lambda both: f"DELETE FROM person WHERE {both[0]} AND {both[1]}"),
    st.tuples(_conditions, _conditions).map(
        lambda both: f"SELECT * FROM person WHERE {both[0]} OR {both[1]}"
    ),
    _conditions.map(lambda one: f"SELECT email, COUNT(name) FROM person WHERE {one} GROUP BY email"),
    st.tuples(st.sampled_from(("A%", "%a", "_", "%", "\\%", "a\\\\%", "_da%")), _conditions).map(
        lambda both: f"SELECT id, name FROM person WHERE name LIKE {_quoted(both[0])} AND ({both[1]})"
    ),
)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=st.lists(_statements, min_size=1, max_size=6))
def test_random_statements(vault: Vault, statements: list[str]) -> None:
    for statement in statements:
        # Whether REPLACE counts a row that it writes again as it was depends on the cipher.
        mesh, plain = ask(vault.on_mesh, statement), ask(vault.on_plain, statement)
        counts = not statement.startswith("REPLACE")
        assert (mesh.error, mesh.as_bag().rows) == (plain.error, plain.as_bag().rows), statement + mesh.text
        assert not counts or mesh.affected == plain.affected, statement
