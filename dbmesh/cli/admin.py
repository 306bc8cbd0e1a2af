"""`dbmesh admin`: a client of a running sidecar's admin API.

Decides how its answers look on a terminal. What they say, the sidecar decides.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.rules.administration import AdminSettings

TIMEOUT = 10.0
"""Seconds a sidecar may take to answer."""

_BIGGEST_FIRST = ("sum_time", "time_ms", "count_star", "ConnUsed")


def show_table(directory: Path, url: str | None, name: str, most: int, *, as_json: bool) -> None:
    """Prints a table, what costs most first. Raises Failure."""
    rows: list[dict[str, Any]] = ask_sidecar(directory, url, "GET", f"/v1/{name}")
    if as_json:
        answers().print_json(json.dumps(rows))
        return
    print_rows(name, rows, most)


def print_rows(name: str, rows: list[dict[str, Any]], most: int) -> None:
    """Prints rows as a table, what costs most first."""
    if not rows:
        answers().print(f"no {name}")
        return
    order = next((column for column in _BIGGEST_FIRST if column in rows[0]), None)
    if order is not None:
        rows.sort(key=lambda row: row[order], reverse=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, value in rows[0].items():
        table.add_column(column, justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows[:most]:
        # A statement may hold what looks like markup.
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    answers().print(table)
    if len(rows) > most:
        answers().print(f"{counted(len(rows) - most, 'row')} more; --most {len(rows)} shows all")


def kill_session(directory: Path, url: str | None, session: int, *, query: bool, as_json: bool) -> None:
    """Ends a client's connection or query. Raises Failure."""
    path = f"/v1/sessions/{session}{'?query=true' if query else ''}"
    _said(ask_sidecar(directory, url, "DELETE", path), as_json=as_json)


def forget(directory: Path, url: str | None, *, as_json: bool) -> None:
    """Statements are counted anew. Raises Failure."""
    _said(ask_sidecar(directory, url, "DELETE", "/v1/statements"), as_json=as_json)


def _said(answer: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        answers().print_json(json.dumps(answer))
    else:
        answers().print(answer["done"])


def ask_sidecar(directory: Path, url: str | None, method: str, path: str) -> Any:
    """What the admin API of a running sidecar answers. Raises Failure."""
    settings = load_directory(directory).admin
    if settings is None:
        raise Failure(f"{directory / 'global.yaml'} has no admin section; see docs/OPERATIONS.md")
    scheme = "https" if settings.certificate else "http"
    base = (url or f"{scheme}://{settings.host}:{settings.port}").rstrip("/")
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    request = urllib.request.Request(base + path, headers=headers, method=method)
    context = _tls(settings, directory) if base.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise Failure(_reason(error)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Failure(f"no sidecar answers at {base}: {reason}") from error


def _tls(settings: AdminSettings, directory: Path) -> ssl.SSLContext:
    """Trusts the sidecar's own certificate, and shows it where clients must show one."""
    context = ssl.create_default_context(cafile=str(directory / settings.certificate))
    context.check_hostname = False
    if settings.client_ca:
        context.load_cert_chain(directory / settings.certificate, directory / settings.key)
    return context


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the sidecar answered {error.code} {error.reason}"
