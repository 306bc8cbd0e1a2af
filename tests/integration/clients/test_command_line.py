"""The `mariadb` command line: what a person types first."""

from __future__ import annotations

import subprocess

import pytest

from tests.plugins.fix_mesh import Shop, Target
from tests.plugins.mariadb import find_program

pytestmark = pytest.mark.integration


def run(target: Target, *statements: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Statements in one call of the client, batch output."""
    return subprocess.run(
        [
            find_program("mariadb", "mysql"),
            "--no-defaults",
            f"--host={target.host}",
            f"--port={target.port}",
            "--protocol=TCP",
            f"--user={target.user}",
            f"--password={target.password}",
            "--default-character-set=utf8mb4",
            "--batch",
            *options,
            target.database,
            "-e",
            ";\n".join(statements),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_create_read_update_delete(target: Target, fresh_shop: Shop) -> None:
    done = run(
        target,
        "INSERT INTO t_user (user_id, name) VALUES (1201, 'cli')",
        "UPDATE t_user SET name = 'command line' WHERE user_id = 1201",
        "SELECT user_id, name FROM t_user WHERE user_id = 1201",
        "DELETE FROM t_user WHERE user_id = 1201",
        "SELECT COUNT(*) AS n FROM t_user WHERE user_id = 1201",
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["user_id\tname", "1201\tcommand line", "n", "0"]


def test_many_rows_on_all_shards_are_created_changed_and_deleted(target: Target, fresh_shop: Shop) -> None:
    rows = ", ".join(f"({key}, 'w{key}', {key})" for key in range(2000, 2020))
    done = run(
        target,
        f"INSERT INTO t_auto (id, word, n) VALUES {rows}",
        "UPDATE t_auto SET n = n + 1 WHERE id >= 2010",
        "DELETE FROM t_auto WHERE n % 2 = 0 AND id < 2010",
        "SELECT COUNT(*) AS rows_left, SUM(n) AS total FROM t_auto WHERE id >= 2000",
        options=("-vv",),
    )
    assert done.returncode == 0, done.stderr
    assert "Query OK, 20 rows affected" in done.stdout
    assert "Query OK, 5 rows affected" in done.stdout
    left = [key for key in range(2000, 2010) if key % 2] + list(range(2011, 2021))
    assert f"{len(left)}\t{sum(left)}" in done.stdout


def test_pages_come_in_order(target: Target, shop: Shop) -> None:
    done = run(
        target,
        *(
            f"SELECT order_id FROM t_order ORDER BY order_id LIMIT 70 OFFSET {start}"
            for start in range(0, 240, 70)
        ),
        options=("--skip-column-names",),
    )
    assert done.stderr == ""
    assert done.stdout.split() == [str(key) for key in range(1, 241)]


@pytest.mark.parametrize(
    "options", [(), ("--quick",), ("--column-type-info",), ("--table",), ("--vertical",)]
)
def test_output_equals_that_of_one_server(shop: Shop, options: tuple[str, ...]) -> None:
    statement = "SELECT order_id, status, amount, note FROM t_order WHERE order_id < 30 ORDER BY order_id"
    through, plain = (run(place, statement, options=options) for place in (shop.target, shop.plain))
    assert through.stdout == plain.stdout
    assert through.returncode == 0


def test_show_and_describe_speak_of_logic_tables(target: Target, shop: Shop) -> None:
    tables = run(target, "SHOW TABLES").stdout.split()
    assert {"t_user", "t_order", "t_order_item", "t_country", "t_config"} <= set(tables)
    assert not any(name.endswith(("_0", "_1")) for name in tables)
    assert run(target, "DESCRIBE t_order").stdout == run(shop.plain, "DESCRIBE t_order").stdout
    assert "shop" in run(target, "SHOW DATABASES").stdout.split()


def test_status_and_use_work(target: Target, shop: Shop) -> None:
    done = run(target, "USE shop", "SELECT DATABASE()", "status")
    assert done.returncode == 0, done.stderr
    assert "Server version" in done.stdout


def test_an_error_names_its_number_and_state(target: Target, shop: Shop) -> None:
    done = run(target, "SELECT * FROM no_such_table")
    assert done.returncode == 1
    assert "ERROR 1146 (42S02)" in done.stderr


def test_a_million_characters_of_input_are_no_problem(target: Target, fresh_shop: Shop) -> None:
    words = ",".join(f"({n},'{'x' * 30}',{n})" for n in range(10_000, 12_000))
    place = [find_program("mariadb", "mysql"), "--no-defaults", "--protocol=TCP", f"-h{target.host}"]
    done = subprocess.run(
        [*place, f"-P{target.port}", f"-u{target.user}", f"-p{target.password}", target.database],
        input=f"INSERT INTO t_auto VALUES {words};\nSELECT COUNT(*), SUM(n) FROM t_auto;\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["2000", str(sum(range(10_000, 12_000)))]
