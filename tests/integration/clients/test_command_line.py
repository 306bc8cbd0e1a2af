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
