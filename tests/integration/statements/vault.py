"""A mesh whose tables have encrypted columns, a second logic database, and the same tables on one server as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql

from tests.plugins import plain_client
from tests.plugins import shop as shop_data
from tests.plugins.database_server import DatabaseServer, chosen_product
from tests.plugins.equivalence import Answer, ask, assert_equal_answers
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh

SCHEMA = "vault"
KEY = "a long text that nobody will guess"
_COLUMNS = """
        name: {cipher: {name: name_cipher, encryptorName: gcm}, assistedQuery: {name: name_digest, encryptorName: hmac},
               likeQuery: {name: name_like, encryptorName: like}, dataType: VARCHAR(60)}
        email: {cipher: {name: email, encryptorName: aes}, dataType: VARCHAR(80)}
        age: {cipher: {name: age_cipher, encryptorName: aes}, dataType: INT}
        balance: {cipher: {name: balance_cipher, encryptorName: gcm}, dataType: "DECIMAL(12,2)"}
        born: {cipher: {name: born_cipher, encryptorName: aes}, dataType: DATE}
        seen: {cipher: {name: seen_cipher, encryptorName: gcm}, dataType: DATETIME(3)}
        note: {cipher: {name: note, encryptorName: gcm}, dataType: TEXT}"""
_RULES = f"""rules:
- !SHARDING
  autoTables:
    person:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: mod_4}}}}
  shardingAlgorithms:
    mod_4: {{type: MOD, props: {{sharding-count: 4}}}}
- !BROADCAST
  tables: [everywhere]
- !SINGLE
  tables: ["ds_1.*"]
  defaultDataSource: ds_1
- !ENCRYPT
  tables:
    person:
      columns:{_COLUMNS}
    everywhere:
      columns:{_COLUMNS}
    alone:
      columns:{_COLUMNS}
  encryptors:
    aes: {{type: AES, props: {{aes-key-value: '{KEY}', digest-algorithm-name: SHA-1}}}}
    gcm: {{type: AES_GCM, keys: [{{id: k1, value: '{KEY}'}}]}}
    hmac: {{type: HMAC_SHA256, keys: [{{id: k1, value: '{KEY}'}}]}}
    like: {{type: CHAR_DIGEST_LIKE}}
"""
TABLES = ("person", "everywhere", "alone")
_SAFE = f"""rules:
- !SINGLE
  tables: ["ds_1.*"]
- !ENCRYPT
  tables:
    guest:
      columns:
        name: {{cipher: {{name: name_cipher, encryptorName: gcm}}, assistedQuery: {{name: name_digest, encryptorName: hmac}}, dataType: VARCHAR(60)}}
        email: {{cipher: {{name: email, encryptorName: other}}, dataType: VARCHAR(80)}}
        age: {{cipher: {{name: age, encryptorName: aes}}, dataType: INT}}
        code: {{cipher: {{name: code, encryptorName: aes}}, likeQuery: {{name: code_like, encryptorName: like}}, dataType: CHAR(4)}}
  encryptors:
    aes: {{type: AES, props: {{aes-key-value: 'another key of the same name', digest-algorithm-name: SHA-1}}}}
    other: {{type: AES, props: {{aes-key-value: '{KEY}', digest-algorithm-name: SHA-1}}}}
    gcm: {{type: AES_GCM, keys: [{{id: k1, value: 'another key of the same name'}}]}}
    hmac: {{type: HMAC_SHA256, keys: [{{id: k1, value: '{KEY}'}}]}}
    like: {{type: CHAR_DIGEST_LIKE}}
"""
"""A second logic database: email, and what is compared of name, are encrypted as in the first one."""


EXACT = f"CHARACTER SET utf8mb4 COLLATE {'utf8mb4_0900_bin' if chosen_product() == 'MySQL' else 'utf8mb4_nopad_bin'}"
DECLARED = (
    f"name VARCHAR(60) {EXACT}",
    f"email VARCHAR(80) {EXACT}",
    "age INT",
    "balance DECIMAL(12,2)",
    "born DATE",
    "seen DATETIME(3)",
    f"note TEXT {EXACT}",
)


def plain_columns() -> str:
    declared = ", ".join(DECLARED)
    return f"id BIGINT NOT NULL PRIMARY KEY, {declared}, city VARCHAR(40), weight FLOAT, KEY k_name (name)"


@dataclass(frozen=True)
class Vault:
    """A mesh with encrypted columns, its data sources, and a server with a database of plain text."""

    mesh: Mesh
    sources: list[DatabaseServer]
    plain: DatabaseServer
    on_mesh: pymysql.Connection[Any]
    on_plain: pymysql.Connection[Any]

    def same(self, statement: str, arguments: Any = None) -> Answer:
        """Runs the statement on both and insists on equal answers."""
        mesh, plain = ask(self.on_mesh, statement, arguments), ask(self.on_plain, statement, arguments)
        assert_equal_answers(replace(mesh, warnings=0), replace(plain, warnings=0), statement)
        return mesh

    def same_prepared(self, statement: str, values: tuple[Any, ...]) -> None:
        """Executes it by the binary protocol on both."""
        answers = []
        for host, port, user, password in (
            (self.mesh.host, self.mesh.port, shop_data.USER, shop_data.PASSWORD),
            (self.plain.host, self.plain.port, self.plain.user, self.plain.password),
        ):
            connection = mysql.connector.connect(
                host=host,
                port=port,
                user=user,
                password=password,
                database=SCHEMA,
                use_pure=True,
                autocommit=True,
            )
            with connection.cursor(prepared=True) as cursor:
                cursor.execute(statement, values)
                rows = sorted(cursor.fetchall(), key=repr) if cursor.description else None
                told = [(one[0], one[1]) for one in cursor.description or ()]
                answers.append((rows, told, cursor.rowcount))
            connection.close()
        assert answers[0] == answers[1], statement

    def refused(self, statement: str) -> str:
        """What the mesh says to a statement that it must not run."""
        found = ask(self.on_mesh, statement)
        assert found.error == 1235, f"{statement}: {found}"
        return found.text

    def stored(self) -> str:
        """Every value of every row of the data sources, as text."""
        found = []
        for number, server in enumerate(self.sources):
            with server.connect(f"{SCHEMA}_{number}") as connection, connection.cursor() as cursor:
                cursor.execute("SHOW TABLES")
                for (table,) in list(cursor.fetchall()):
                    cursor.execute(f"SELECT * FROM `{table}`")
                    found += [repr(row) for row in cursor.fetchall()]
        return "\n".join(found)


def open_vault(shop: Shop, directory: Path) -> Iterator[Vault]:
    """The servers' databases and the mesh, until it is closed."""
    rules = directory / "rules"
    rules.mkdir()
    (rules / "global.yaml").write_text(shop_data.global_yaml())
    sources = ""
    for number, server in enumerate(shop.sources):
        schema = f"{SCHEMA}_{number}"
        server.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        sources += shop_data.source_yaml(number, server).replace(shop_data.shard_schema(number), schema)
    (rules / f"database-{SCHEMA}.yaml").write_text(f"databaseName: {SCHEMA}\ndataSources:\n{sources}{_RULES}")
    shop.sources[1].execute("CREATE DATABASE safe_1 CHARACTER SET utf8mb4")
    beside = shop_data.source_yaml(1, shop.sources[1]).replace(shop_data.shard_schema(1), "safe_1")
    (rules / "database-safe.yaml").write_text(f"databaseName: safe\ndataSources:\n{beside}{_SAFE}")
    plain = shop.plain_server
    plain.execute(
        f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4", "CREATE DATABASE safe CHARACTER SET utf8mb4"
    )
    for table in TABLES:
        plain.execute(f"CREATE TABLE {SCHEMA}.{table} ({plain_columns()})")
    mesh = Mesh(rules, Path(directory / "mesh.log")).start()
    on_plain = plain_client.connect(
        host=plain.host, port=plain.port, user=plain.user, password=plain.password, database=SCHEMA, autocommit=True,
        charset="utf8mb4",
    )  # fmt: skip
    on_mesh = mesh.connect(SCHEMA)
    with on_mesh.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"CREATE TABLE {table} ({plain_columns()})")
    yield Vault(mesh, list(shop.sources), plain, on_mesh, on_plain)
    on_mesh.close()
    on_plain.close()
    mesh.stop_cleanly()
    plain.execute(f"DROP DATABASE {SCHEMA}", "DROP DATABASE safe")
    shop.sources[1].execute("DROP DATABASE safe_1")
    for number, server in enumerate(shop.sources):
        server.execute(f"DROP DATABASE {SCHEMA}_{number}")
