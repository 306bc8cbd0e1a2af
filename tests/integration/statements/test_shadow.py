"""`!SHADOW` over real servers: each data source read by itself shows which side every row went to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh
from tests.plugins.raw_client import Failure, RawClient, ResultSet

pytestmark = pytest.mark.integration

HINT = "/* SHARDINGSPHERE_HINT: SHADOW=true */ "
RULES = """
- !SHARDING
  tables:
    bill:
      actualDataNodes: ds_${0..1}.bill_${0..1}
      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: database}}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: table}}
  shardingAlgorithms:
    database: {type: INLINE, props: {algorithm-expression: 'ds_${user_id % 2}'}}
    table: {type: INLINE, props: {algorithm-expression: 'bill_${id % 2}'}}
- !SINGLE {tables: ['*.*'], defaultDataSource: ds_0}
- !SHADOW
  dataSources:
    zero: {productionDataSourceName: ds_0, shadowDataSourceName: sh_0}
    one: {productionDataSourceName: ds_1, shadowDataSourceName: sh_1}
  tables:
    bill: {dataSourceNames: [zero, one], shadowAlgorithmNames: [hint, i, u, d, s]}
    note: {dataSourceNames: [zero], shadowAlgorithmNames: [hint]}
    patient: {dataSourceNames: [zero], shadowAlgorithmNames: [hint, who_i, who_u, who_s]}
  shadowAlgorithms:
    hint: {type: SQL_HINT}
    i: {type: REGEX_MATCH, props: {operation: insert, column: user_id, regex: '9\\d\\d'}}
    u: {type: REGEX_MATCH, props: {operation: update, column: user_id, regex: '9\\d\\d'}}
    d: {type: REGEX_MATCH, props: {operation: delete, column: user_id, regex: '9\\d\\d'}}
    s: {type: REGEX_MATCH, props: {operation: select, column: user_id, regex: '9\\d\\d'}}
    who_i: {type: VALUE_MATCH, props: {operation: insert, column: name, value: tester}}
    who_u: {type: VALUE_MATCH, props: {operation: update, column: name, value: tester}}
    who_s: {type: VALUE_MATCH, props: {operation: select, column: name, value: tester}}
- !ENCRYPT
  tables:
    patient:
      columns:
        name: {cipher: {name: name_c, encryptorName: gcm}, assistedQuery: {name: name_h, encryptorName: hmac}, dataType: VARCHAR(20)}
        mail: {cipher: {name: mail, encryptorName: aes}, dataType: VARCHAR(40)}
  encryptors:
    aes: {type: AES, props: {aes-key-value: a key that is long enough}}
    gcm: {type: AES_GCM, keys: [{id: k, value: a key that is long enough}]}
    hmac: {type: HMAC_SHA256, keys: [{id: k, value: a key that is long enough}]}
"""


class Pressed:
    """A mesh with shadows, and its schemas: pr_0, pr_1 of production, sh_0, sh_1 beside them."""

    def __init__(self, servers: list[DatabaseServer], directory: Path) -> None:
        self.servers = servers
        sources = ""
        for number, server in enumerate(servers):
            for name, schema in ((f"ds_{number}", f"pr_{number}"), (f"sh_{number}", f"sh_{number}")):
                server.execute(f"DROP DATABASE IF EXISTS {schema}", f"CREATE DATABASE {schema}")
                sources += (
                    f"  {name}: {{url: 'jdbc:mysql://{server.host}:{server.port}/{schema}', "
                    f"username: {server.user}, password: {server.password}}}\n"
                )
        directory.mkdir()
        (directory / "global.yaml").write_text(
            "authority:\n  users:\n  - {user: root@%, password: root, admin: true}\n"
        )
        text = f"databaseName: shop\ndataSources:\n{sources}rules:{RULES}"
        (directory / "database-shop.yaml").write_text(text)
        self.mesh = Mesh(directory, directory / "mesh.log").start()

    def rows(self, side: str, columns: str = "id, user_id", table: str = "bill") -> list[tuple[Any, ...]]:
        """What lies on one side, over all data nodes."""
        found: list[tuple[Any, ...]] = []
        for number, server in enumerate(self.servers):
            for node in (f"{table}_0", f"{table}_1") if table == "bill" else (table,):
                if server.execute(f"SHOW TABLES FROM {side}_{number} LIKE '{node}'"):
                    found += server.execute(f"SELECT {columns} FROM {side}_{number}.{node}")
        return sorted(found)


@pytest.fixture
def pressed(shop: Shop, tmp_path: Path) -> Iterator[Pressed]:
    made = Pressed(shop.sources, tmp_path / "rules")
    yield made
    made.mesh.stop_cleanly()
    for number, server in enumerate(shop.sources):
        server.execute(f"DROP DATABASE pr_{number}", f"DROP DATABASE sh_{number}")


def test_rows_go_to_the_side_they_belong_to(pressed: Pressed) -> None:
    with pressed.mesh.connect() as connection, connection.cursor() as cursor:

        def ask(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement)
            return list(cursor.fetchall())

        ask("CREATE TABLE bill (id INT PRIMARY KEY, user_id INT NOT NULL, paid INT NOT NULL DEFAULT 0)")
        ask("CREATE TABLE note (id INT PRIMARY KEY, body VARCHAR(20))")
        ask("INSERT INTO bill (id, user_id) VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
        ask("INSERT INTO bill (id, user_id) VALUES (1, 901), (2, 902), (3, 903)")
        ask("INSERT INTO note VALUES (1, 'real')")
        ask(f"{HINT}INSERT INTO note VALUES (1, 'shadow'), (2, 'shadow')")
        production, shadow = [(1, 1), (2, 2), (3, 3), (4, 4)], [(1, 901), (2, 902), (3, 903)]
        assert (pressed.rows("pr"), pressed.rows("sh")) == (production, shadow)
        assert pressed.rows("sh", "id, body", "note") == [(1, "shadow"), (2, "shadow")]

        # Relayed, merged, federated, prepared as text and natively, by a view, in a transaction.
        assert ask("SELECT id FROM bill WHERE user_id = 901") == [(1,)]
        assert ask("SELECT id, user_id FROM bill WHERE user_id IN (903, 901) ORDER BY id") == [
            (1, 901),
            (3, 903),
        ]
        assert ask("SELECT id, user_id FROM bill ORDER BY id") == [(1, 1), (2, 2), (3, 3), (4, 4)]
        assert ask(f"{HINT}SELECT COUNT(*), SUM(user_id) FROM bill") == [(3, 901 + 902 + 903)]
        joined = "SELECT COUNT(*) FROM bill a JOIN bill b ON b.id = a.id + 1"
        assert (ask(joined), ask(HINT + joined)) == ([(3,)], [(2,)])
        assert ask(f"{HINT}SELECT b.id, n.body FROM bill b JOIN note n ON n.id = b.id ORDER BY b.id") == [
            (1, "shadow"),
            (2, "shadow"),
        ]
        ask("PREPARE p FROM 'SELECT id FROM bill WHERE user_id = ?'")
        for user, expected in ((902, [(2,)]), (2, [(2,)]), (904, []), (4, [(4,)])):
            cursor.execute("SET @user = %s", (user,))
            assert ask("EXECUTE p USING @user") == expected
        with RawClient(pressed.mesh.host, pressed.mesh.port) as raw:
            raw.log_in("root", "root", "shop")
            prepared = raw.prepare("SELECT id FROM bill WHERE user_id = ?")
            assert not isinstance(prepared, Failure)
            for _ in range(2):
                answers = [raw.execute(prepared[0], [user]) for user in (903, 3, 904)]
                assert [len(one.rows) for one in answers if isinstance(one, ResultSet)] == [1, 1, 0]

        ask("BEGIN")
        ask("UPDATE bill SET paid = 1 WHERE user_id = 901")
        ask("UPDATE bill SET paid = 2 WHERE user_id = 1")
        ask("DELETE FROM bill WHERE user_id = 902")
        ask("ROLLBACK")
        assert pressed.rows("sh", "id, user_id, paid") == [(1, 901, 0), (2, 902, 0), (3, 903, 0)]
        ask("BEGIN")
        ask("UPDATE bill SET paid = 1 WHERE user_id = 901")
        ask("UPDATE bill SET paid = 2 WHERE user_id = 2")
        ask("COMMIT")
        # A write by keys of its own stays where it began, whatever its rows look like.
        ask(f"{HINT}UPDATE bill SET paid = paid + 10 ORDER BY id DESC LIMIT 2")
        ask("UPDATE bill SET paid = paid + 10 ORDER BY id DESC LIMIT 2")
        assert pressed.rows("sh", "id, paid") == [(1, 1), (2, 10), (3, 10)]
        assert pressed.rows("pr", "id, paid") == [(1, 0), (2, 2), (3, 10), (4, 10)]

        ask("ALTER TABLE bill ADD COLUMN more INT DEFAULT 5")
        assert ask("SELECT more FROM bill WHERE user_id = 903") == [(5,)]
        for statement in (
            "INSERT INTO bill (id, user_id) VALUES (7, 7), (8, 908)",
            "SELECT * FROM bill WHERE user_id IN (1, 901)",
            "UPDATE bill SET user_id = 905 WHERE user_id = 1",
            "INSERT INTO bill (id, user_id) SELECT id + 10, user_id FROM bill",
        ):
            with pytest.raises(pymysql.err.MySQLError, match=r"production (and|or)"):
                ask(statement)
        ask(f"{HINT}TRUNCATE TABLE bill")
        assert (len(pressed.rows("pr")), pressed.rows("sh")) == (4, [])
        ask("DROP TABLE bill")
        assert pressed.servers[0].execute("SHOW TABLES FROM sh_0 LIKE 'bill%'") == []

        # Encrypted columns: a value decides as the client wrote it, both sides keep ciphers.
        ask("CREATE TABLE patient (id INT PRIMARY KEY, name VARCHAR(20), mail VARCHAR(40))")
        ask("INSERT INTO patient VALUES (1, 'real', 'r@x'), (2, 'true', 't@x')")
        ask("INSERT INTO patient (id, name) VALUES (1, 'tester')")
        ask(f"{HINT}INSERT INTO patient VALUES (2, 'hinted', 'h@x')")
        read = "SELECT * FROM (SELECT id, name, mail FROM patient) x ORDER BY id"
        assert ask(read) == [(1, "real", "r@x"), (2, "true", "t@x")]
        assert ask(HINT + read) == [(1, "tester", None), (2, "hinted", "h@x")]
        assert ask("SELECT id, name FROM patient WHERE name = 'tester'") == [(1, "tester")]
        ask("UPDATE patient SET mail = 'm@x' WHERE name = 'tester'")
        ask(f"{HINT}INSERT INTO patient (id, name) SELECT id + 10, name FROM patient WHERE mail = 'h@x'")
        ask("UPDATE patient SET mail = 'u@x' ORDER BY id LIMIT 1")
        assert ask(HINT + read) == [(1, "tester", "m@x"), (2, "hinted", "h@x"), (12, "hinted", None)]
        assert ask(read) == [(1, "real", "u@x"), (2, "true", "t@x")]
        stored = [pressed.rows(side, "*", "patient") for side in ("pr", "sh")]
        assert [len(one) for one in stored] == [2, 3]
        assert not [one for one in ("real", "true", "tester", "hinted", "@x") if one in repr(stored)]
