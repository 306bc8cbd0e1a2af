"""Foreign keys of tables sharded by themselves: nobody enforces them, and they are shown as one server shows them."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from tests.plugins.auto_mesh import AutoMesh
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_auto_mesh import Run

DECLARED = """
CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, u INT, UNIQUE KEY uq (id, u))
CREATE TABLE c (id INT PRIMARY KEY, pid INT, q INT, FOREIGN KEY (pid) REFERENCES p (id), CONSTRAINT a FOREIGN KEY (q) \
REFERENCES p (id) ON DELETE CASCADE ON UPDATE NO ACTION, CONSTRAINT cc CHECK (q > 0))
CREATE TABLE whole (pid INT, u INT UNIQUE, CONSTRAINT w FOREIGN KEY (pid) REFERENCES p (id) ON DELETE RESTRICT)
CREATE TABLE IF NOT EXISTS c (id INT PRIMARY KEY)
ALTER TABLE c CHANGE pid parent INT
ALTER TABLE c DROP COLUMN parent
ALTER TABLE c ADD z INT, ADD CONSTRAINT z FOREIGN KEY (z) REFERENCES p (id) ON UPDATE SET NULL
ALTER TABLE p RENAME TO p2
ALTER TABLE p2 RENAME COLUMN id TO number
ALTER TABLE c DROP FOREIGN KEY A, DROP CONSTRAINT IF EXISTS z
ALTER TABLE c ADD y INT, DROP FOREIGN KEY c_ibfk_1, ADD FOREIGN KEY (y) REFERENCES p2 (number), ADD x INT
ALTER TABLE c ADD CONSTRAINT dd CHECK (id > 0)
ALTER TABLE c DROP CONSTRAINT dd, DROP INDEX z
ALTER TABLE c ADD UNIQUE (x)
ALTER TABLE c ADD KEY both_of (z, x)
ALTER TABLE c ADD CONSTRAINT z2 FOREIGN KEY (z) REFERENCES p2 (number)
RENAME TABLE c TO d, whole TO c
ALTER TABLE c DROP FOREIGN KEY w
ALTER TABLE c ADD CONSTRAINT w2 FOREIGN KEY (u) REFERENCES p2 (number)
CREATE TABLE tree (id INT PRIMARY KEY, up INT, CONSTRAINT t FOREIGN KEY (up) REFERENCES tree (id))
"""
SHOWN = (
    "SELECT * FROM information_schema.key_column_usage WHERE table_schema = DATABASE() ORDER BY 3, 6, 8",
    "SELECT * FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() ORDER BY 3",
    "SELECT * FROM information_schema.table_constraints WHERE table_schema = DATABASE() ORDER BY 3, 5",
)
NAME = "app"


def _shown(connection: pymysql.Connection[Any]) -> list[object]:
    tables = [row[0] for row in ask(connection, "SHOW TABLES").rows if row[0] != "dbmesh_txn"]
    definitions = [f"SHOW CREATE TABLE `{name}`" for name in tables]
    return [ask(connection, question).rows for question in (*SHOWN, *definitions)]


@pytest.mark.skipif(
    chosen_product() == "MySQL", reason="the mesh tells of keys it only declares in MariaDB's words"
)
def test_declared_foreign_keys_are_shown_as_by_one_server(auto: AutoMesh, run: Run) -> None:
    server = auto.servers[0]
    server.execute("DROP DATABASE IF EXISTS plain_keys", "CREATE DATABASE plain_keys CHARACTER SET utf8mb4")
    with auto.connect() as mesh, server.connect("plain_keys") as plain:
        for statement in DECLARED.strip().splitlines():
            answers = [ask(connection, statement) for connection in (mesh, plain)]
            assert answers[0].error == answers[1].error, answers[0].text
            assert _logic(_shown(mesh)) == _logic(_shown(plain)), statement
        shown = _shown(mesh)
        auto.mesh.stop_cleanly()
        auto.mesh.start()
        with auto.connect() as again:
            assert _shown(again) == shown
            ask(again, "DROP TABLE c, d, tree")
            ask(again, "CREATE TABLE c (id INT PRIMARY KEY)")
            assert [len(rows) for rows in _shown(again)[:2]] == [4, 0]
    server.execute("DROP DATABASE plain_keys")


def _logic(shown: list[object]) -> str:
    return repr(shown).replace("plain_keys", NAME)
