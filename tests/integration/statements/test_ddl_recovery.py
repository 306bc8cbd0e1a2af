"""DDL that stops half-way is seen and finished; files of migrations are run once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pymysql
import pytest

from tests.plugins.auto_mesh import SHARDS, AutoMesh
from tests.plugins.fix_auto_mesh import Run
from tests.plugins.processes import wait_until


def _columns(auto: AutoMesh, number: int) -> set[str]:
    rows = auto.servers[number % 2].execute(f"SHOW COLUMNS FROM t_{number}", database="app")
    return {row[0] for row in rows}


def test_an_alter_killed_half_way_is_seen_and_finished(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
    run("INSERT INTO t VALUES (1), (2), (3), (4)")
    assert "no DDL statement is half done" in auto.command("ddl", "status").stdout
    holder = auto.servers[1].connect("app", autocommit=False)
    with holder.cursor() as cursor:
        # A transaction that has read the table holds up its change.
        cursor.execute("SELECT * FROM t_1")

    def alter() -> None:
        with pytest.raises(pymysql.err.OperationalError):
            run("ALTER TABLE t ADD COLUMN v INT")

    altering = Thread(target=alter)
    altering.start()
    wait_until(
        lambda: "v" in _columns(auto, 0) and "v" in _columns(auto, 2), 20, "half of the nodes to be altered"
    )
    auto.kill()
    altering.join()
    holder.close()
    assert "v" not in _columns(auto, 3)
    shown = auto.command("ddl", "status").stdout
    assert "ALTER TABLE t ADD COLUMN v INT" in shown
    assert shown.count("not known to be done") == SHARDS
    record = re.search(r"^([0-9a-f]{8}) ", shown, re.MULTILINE)
    assert record is not None
    resumed = auto.command("ddl", "resume", record[1])
    assert resumed.returncode == 0, resumed.stderr
    assert all("v" in _columns(auto, number) for number in range(SHARDS))
    assert "no DDL statement is half done" in auto.command("ddl", "status").stdout
    auto.mesh.start()
    with auto.connect() as again, again.cursor() as cursor:
        cursor.execute("SELECT id, v FROM t ORDER BY id")
        assert cursor.fetchall() == tuple((number, None) for number in range(1, 5))


@pytest.mark.parametrize("lost", [0, 1])
def test_an_alter_whose_data_source_dies_is_finished_while_the_mesh_runs(
    auto: AutoMesh, run: Run, lost: int
) -> None:
    stays = 1 - lost
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
    run("INSERT INTO t VALUES (1), (2), (3), (4)")
    holder = auto.servers[lost].connect("app", autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute(f"SELECT * FROM t_{lost}")
    told: list[str] = []

    def alter() -> None:
        with pytest.raises(pymysql.err.OperationalError) as refused:
            run("ALTER TABLE t ADD COLUMN v INT DEFAULT 5")
        told.append(str(refused.value))

    altering = Thread(target=alter)
    altering.start()
    wait_until(
        lambda: "v" in _columns(auto, stays) and "v" in _columns(auto, stays + 2),
        20,
        "half of the nodes to be altered",
    )
    auto.servers[lost].kill()
    altering.join()
    done = f"already done on ds_{stays}, ds_{stays}"
    found = re.search(rf"{done}; finish it with: dbmesh ddl resume ([0-9a-f]+)", told[0])
    assert found is not None, told
    early = auto.command("ddl", "resume", found[1])
    assert (early.returncode, "is still half done" in early.stderr) == (1, True), "its data source is away"
    auto.servers[lost].start()
    auto.servers[lost].wait_ready()
    shown = auto.command("ddl", "status").stdout
    assert (shown.count("not known to be done"), shown.count("done")) == (2, 4)
    assert auto.command("ddl", "resume", found[1]).returncode == 0
    assert all("v" in _columns(auto, number) for number in range(SHARDS))
    assert "no DDL statement is half done" in auto.command("ddl", "status").stdout
    with auto.connect() as again, again.cursor() as cursor:
        cursor.execute("INSERT INTO t (id) VALUES (5), (6), (7), (8)")
        cursor.execute("SELECT COUNT(*), SUM(v) FROM t")
        assert cursor.fetchall() == ((8, 40),)

        def both() -> bool:
            try:
                cursor.execute("REPLACE INTO t VALUES (9, 6)")
            except pymysql.err.MySQLError:
                return False
            return True

        wait_until(both, 5, "the mesh to hear of the columns")


def test_a_create_that_fails_on_one_node_tells_how_to_go_on(auto: AutoMesh, run: Run) -> None:
    auto.servers[1].execute("CREATE TABLE part_3 (other INT)", database="app")
    with pytest.raises(pymysql.err.MySQLError) as refusal:
        run("CREATE TABLE part (id INT PRIMARY KEY)")
    found = re.search(r"already done on .*dbmesh ddl resume ([0-9a-f]+)", refusal.value.args[1])
    assert found is not None
    auto.servers[1].execute("DROP TABLE part_3", database="app")
    assert auto.command("ddl", "resume", found[1]).returncode == 0
    run("INSERT INTO part VALUES (1), (2), (3), (4)")
    assert auto.counts("part") == [1, 1, 1, 1]
    assert auto.command("ddl", "resume", found[1]).returncode == 1


def test_rules_show_prints_what_create_table_made(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
    shown = auto.command("rules", "show").stdout
    assert "- !MESH\n  autoShard:\n    by: primaryKey\n    shards: '4'\n" in shown
    assert "    t:\n      actualDataSources: ds_0,ds_1\n" in shown
    assert "type: AUTO_INCREMENT" in shown


def test_migrations_that_two_run_at_the_same_time_are_run_once(
    auto: AutoMesh, run: Run, tmp_path: Path
) -> None:
    files = tmp_path / "migrations"
    files.mkdir()
    # Long enough for the second to begin meanwhile.
    rows = "DO SLEEP(3);\n" + "INSERT INTO a (v) VALUES (1);\n" * 5
    (files / "0001_first.sql").write_text(
        f"CREATE TABLE IF NOT EXISTS a (id INT AUTO_INCREMENT PRIMARY KEY, v INT);\n{rows}"
    )
    with ThreadPoolExecutor(2) as beside:
        ends = list(beside.map(lambda _: auto.command("migrate", str(files)), range(2)))
    assert [end.returncode for end in ends] == [0, 0], [end.stderr for end in ends]
    assert sorted("up to date" in end.stdout for end in ends) == [False, True]
    assert run("SELECT COUNT(*) FROM a") == [(5,)]


def test_migrations_are_run_in_order_and_once(auto: AutoMesh, run: Run, tmp_path: Path) -> None:
    files = tmp_path / "migrations"
    files.mkdir()
    (files / "0001_first.sql").write_text(
        "-- first\nCREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n"
    )
    (files / "0002_second.sql").write_text("ALTER TABLE a ADD v INT;\nnonsense;\n")
    dry = auto.command("migrate", str(files), "--dry-run")
    assert dry.stdout.splitlines() == [
        "0001_first.sql: 2 statements to run",
        "0002_second.sql: 2 statements to run",
    ]
    failed = auto.command("migrate", str(files))
    assert failed.returncode == 1
    assert "0001_first.sql: applied" in failed.stdout
    assert "0002_second.sql, statement 2" in failed.stderr
    (files / "0002_second.sql").write_text("ALTER TABLE a ADD v INT;\nUPDATE a SET v = 5;\n")
    assert auto.command("migrate", str(files)).returncode == 0
    assert "up to date" in auto.command("migrate", str(files)).stdout
    assert auto.servers[1].execute("SELECT * FROM a_1", database="app") == [(1, 5)]
    (files / "0001_first.sql").write_text("CREATE TABLE b (id INT PRIMARY KEY)")
    changed = auto.command("migrate", str(files))
    assert changed.returncode == 1
    assert "'0001_first.sql' was changed after it was applied" in changed.stderr
