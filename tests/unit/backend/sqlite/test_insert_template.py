"""An INSERT bound from its shape is the INSERT its text compiles to."""

from __future__ import annotations

import datetime
from pathlib import Path
from random import Random

import pytest

from dbmesh.backend.sqlite import database as database_module
from dbmesh.backend.sqlite.database import Database, Rows
from dbmesh.backend.transpile.answers import Done
from dbmesh.errors import ShardError
from dbmesh.wire.values import decode_text_row

TABLE = (
    "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, word VARCHAR(20), money DECIMAL(10,2) DEFAULT 5, "
    "kind VARCHAR(5) NOT NULL DEFAULT 'x')"
)


def opened(path: Path) -> Database:
    database = Database(str(path), lambda: datetime.datetime(2025, 1, 1), Random(1))
    database.run(TABLE)
    return database


def all_rows(database: Database) -> list[list[bytes | None]]:
    answer = database.run("SELECT id, word, money, kind FROM t ORDER BY id")
    assert isinstance(answer, Rows)
    return [list(decode_text_row(row)) for batch in answer.batches for row in batch]


PAIRS = (
    ("INSERT INTO t (word, money) VALUES ('a', 1)", "INSERT INTO t (word, money) VALUES ('it''s', -2)"),
    ("INSERT INTO t VALUES (1, 'a', 1.5, 'k')", "INSERT INTO t VALUES (NULL, '\\n\\\\', 2.25, 'l')"),
    ("INSERT INTO t (word) VALUES ('a')", "INSERT INTO t (word) VALUES ('b'), (NULL), ('c')"),
    ("INSERT INTO t (word) VALUES (x'')", "INSERT INTO t (word) VALUES (x'41')"),
    ("INSERT INTO t (money, word) VALUES (DEFAULT, 5)", "INSERT INTO t (money, word) VALUES (DEFAULT, 6)"),
    ("REPLACE INTO t (id, word) VALUES (1, 'a')", "REPLACE INTO t (id, word) VALUES (1, 'b')"),
    ("INSERT IGNORE INTO t (id, word) VALUES (1, 'a')", "INSERT IGNORE INTO t (id, word) VALUES (1, 'b')"),
    (
        "INSERT INTO t (id, word) VALUES (1, 'a') ON DUPLICATE KEY UPDATE word = VALUES(word)",
        "INSERT INTO t (id, word) VALUES (1, 'b') ON DUPLICATE KEY UPDATE word = VALUES(word)",
    ),
    ("INSERT INTO t (id, word) VALUES (0, 1e3)", "INSERT INTO t (id, word) VALUES (0, 2e3)"),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1])
def test_bound_as_if_parsed(tmp_path: Path, pair: tuple[str, str]) -> None:
    kept, fresh = opened(tmp_path / "kept.db"), opened(tmp_path / "fresh.db")
    answers = []
    for database, forgets in ((kept, False), (fresh, True)):
        for statement in pair:
            if forgets:
                database._inserts.clear()
            answers.append(database.run(statement))
    assert answers[:2] == answers[2:]
    assert all_rows(kept) == all_rows(fresh)
    kept.close()
    fresh.close()


def test_other_literals_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = opened(tmp_path / "a.db")
    database.run("INSERT INTO t (word) VALUES ('a')")
    monkeypatch.setattr(database_module, "parse", lambda sql: pytest.fail(f"parsed {sql}"))
    assert database.run("INSERT INTO t (word) VALUES ('b')") == Done(1, 2, "")
    with pytest.raises(ShardError, match="too long"):
        database.run("INSERT INTO t (word) VALUES ('123456789012345678901')")
    database.close()


def test_changed_tables_are_compiled_anew(tmp_path: Path) -> None:
    database = opened(tmp_path / "a.db")
    database.run("INSERT INTO t (word) VALUES ('a')")
    database.run("ALTER TABLE t ADD COLUMN more INT NOT NULL DEFAULT 9")
    database.run("INSERT INTO t (word) VALUES ('b')")
    answer = database.run("SELECT more FROM t ORDER BY id DESC LIMIT 1")
    assert isinstance(answer, Rows)
    assert list(answer.batches) == [[b"\x019"]]
    database.close()
