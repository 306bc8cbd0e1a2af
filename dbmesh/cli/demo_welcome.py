"""What the demo says when it is ready: how to connect, and what is worth trying.

Decides wording and layout. Lines are never wrapped and carry no borders, so that they can be copied as they are.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from dbmesh import __version__
from dbmesh.cli import demo_data


def welcome(console: Console, engine: str, host: str, port: int) -> None:
    """Prints where the demo listens, one line for each common client, and three queries with what they show."""
    console.print()
    _line(console, Text(f"dbmesh {__version__} demo is ready on {host}:{port}", "bold green"))
    _line(console, Text(f"{ENGINES[engine]}, four shards; user root, password root, database shop"))
    _heading(console, "Connect with any MySQL client")
    for client, command in connections(host, port):
        _line(console, Text.assemble("  ", (f"{client:<12}", "dim"), command))
    _heading(console, "Try")
    for number, (query, shows) in enumerate(demo_data.QUERIES, start=1):
        _line(console, Text.assemble((f"  {number}  ", "dim"), (query, "cyan")))
        _line(console, Text.assemble("     ", (shows, "dim")))
    console.print()
    _line(console, Text("Ctrl-C stops everything the demo started."))


ENGINES = {"sqlite": "Two embedded SQLite data sources", "mariadb": "Two MariaDB servers"}


def connections(host: str, port: int) -> tuple[tuple[str, str], ...]:
    """Each common client with the line that connects it."""
    return (
        ("mariadb", f"mariadb --skip-ssl --host {host} --port {port} --user root --password=root shop"),
        ("mysql", f"mysql --host {host} --port {port} --user root --password=root shop"),
        (
            "PyMySQL",
            f'pymysql.connect(host="{host}", port={port}, user="root", password="root", database="shop")',
        ),
        ("SQLAlchemy", f'create_engine("mysql+pymysql://root:root@{host}:{port}/shop")'),
    )


def _heading(console: Console, text: str) -> None:
    console.print()
    _line(console, Text(text, "bold"))


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)
