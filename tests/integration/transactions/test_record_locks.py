"""Record locks: of two sidecars that write one row in BASE transactions, the second waits until the first has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import MeshFactory, Shop
from tests.plugins.mesh import Mesh

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def meshes(shop: Shop, mesh_with: MeshFactory, tmp_path_factory: pytest.TempPathFactory) -> list[Mesh]:
    """Two sidecars with one store."""
    store = tmp_path_factory.mktemp("store") / "store.db"
    made = [mesh_with(start=False) for _ in range(2)]
    for mesh in made:
        _add_locks(mesh.configuration / "global.yaml", store)
        mesh.start()
    return made


def _add_locks(file: Path, store: Path) -> None:
    with file.open("a") as text:
        text.write("\ntransaction: {defaultType: BASE, props: {isolation: RECORD_LOCKS}}\n")
        text.write(f"mode: {{type: Standalone, repository: {{type: SQLite, props: {{path: {store}}}}}}}\n")


@pytest.fixture(autouse=True)
def _rows(fresh_shop: Shop, meshes: list[Mesh]) -> Iterator[None]:
    for mesh in meshes:
        if not mesh.running:
            mesh.start()
    with meshes[0].connect() as client:
        _ok(client, "INSERT INTO t_auto VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    yield
    shop_data.forget_decisions(fresh_shop.sources)


def _ok(client: pymysql.Connection[object], *statements: str) -> None:
    for statement in statements:
        answer = ask(client, statement)
        assert answer.error is None, f"{statement}: {answer.text}"


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_row_belongs_to_one_transaction_until_it_has_ended(meshes: list[Mesh], end: str) -> None:
    with meshes[0].connect() as one, meshes[1].connect() as other:
        _ok(
            one,
            "BEGIN",
            "UPDATE t_auto SET n = 10 WHERE id IN (1, 2)",
            "UPDATE t_auto SET n = n + 1 WHERE id = 1",
        )
        _ok(other, "SET innodb_lock_wait_timeout = 1")
        for statement in (
            "UPDATE t_auto SET n = 20 WHERE id = 1",
            "DELETE FROM t_auto",
            "REPLACE INTO t_auto VALUES (2, 'x', 1)",
        ):
            answer = ask(other, statement)
            assert answer.error == 1205, statement
            assert "has not ended" in answer.text
        _ok(other, "UPDATE t_auto SET n = 30 WHERE id = 3", "BEGIN", "UPDATE t_auto SET n = 31 WHERE id = 3")
        assert ask(one, "SELECT n FROM t_auto WHERE id = 1").rows == ((11,),)
        _ok(one, end)
        _ok(other, "UPDATE t_auto SET n = n + 100 WHERE id = 1", "COMMIT")
        expected = ((111,), (10,), (31,)) if end == "COMMIT" else ((101,), (2,), (31,))
        assert ask(one, "SELECT n FROM t_auto ORDER BY id").rows == expected


def test_who_waits_goes_on_when_the_row_is_free(meshes: list[Mesh]) -> None:
    answers: list[Answer] = []
    with meshes[0].connect() as one, meshes[1].connect() as other:
        _ok(one, "BEGIN", "UPDATE t_auto SET n = 10 WHERE id = 1")
        waiting = Thread(
            target=lambda: answers.append(
                ask(other, "UPDATE t_auto SET n = n + 1, word = CONCAT(word, '!') WHERE id < 3")
            )
        )
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        _ok(one, "ROLLBACK")
        waiting.join()
        assert [answer.error for answer in answers] == [None]
        assert ask(one, "SELECT word, n FROM t_auto WHERE id < 3 ORDER BY id").rows == (("a!", 2), ("b!", 3))


def test_rows_of_a_killed_process_are_undone_and_free(meshes: list[Mesh]) -> None:
    with meshes[0].connect() as one, meshes[1].connect() as other:
        _ok(one, "BEGIN", "UPDATE t_auto SET n = 10 WHERE id IN (1, 2)", "DELETE FROM t_auto WHERE id = 3")
        _ok(other, "SET innodb_lock_wait_timeout = 30")
        meshes[0].kill()
        _ok(other, "UPDATE t_auto SET n = n + 100 WHERE id < 4")
        assert ask(other, "SELECT n FROM t_auto ORDER BY id").rows == ((101,), (102,), (103,))
