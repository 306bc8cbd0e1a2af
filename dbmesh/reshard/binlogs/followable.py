"""Why the binlog of a server cannot be followed, before anybody tries.

Decides which settings stop it and how each is cured. Pure; knows no job. What sessions log otherwise than their server says, only who
follows sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dbmesh.errors import MeshError
from dbmesh.model import DataNode, TableSchema
from dbmesh.planner.images import image_table
from dbmesh.reshard.binlogs.changes import followed_table

SETTINGS = (
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_value_options",
    "binlog_transaction_compression",
    "mysql56_temporal_format",
)
"""The variables that `BinlogFacts` is read from."""


@dataclass(frozen=True, slots=True)
class BinlogFacts:
    """How a server logs what it does: `format` is '' without a log. `hindrances` are settings whose events are not read, each with the
    value it should have. `only` and `ignored` are the schemas its filters name."""

    format: str = ""
    row_image: str = "FULL"
    hindrances: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def binlog_facts(settings: Mapping[str, str], only: str = "", ignored: str = "") -> BinlogFacts:
    """From the variables of `SETTINGS` and what SHOW BINARY LOG STATUS says of filters."""
    if settings.get("log_bin", "").upper() not in ("ON", "1"):
        return BinlogFacts()
    hindrances = []
    if settings.get("binlog_row_value_options"):
        hindrances.append(("binlog_row_value_options", "''"))
    if settings.get("binlog_transaction_compression", "OFF").upper() in ("ON", "1"):
        hindrances.append(("binlog_transaction_compression", "OFF"))
    if settings.get("mysql56_temporal_format", "ON").upper() in ("OFF", "0"):
        hindrances.append(("mysql56_temporal_format", "ON"))
    return BinlogFacts(
        settings.get("binlog_format", "").upper(),
        settings.get("binlog_row_image", "FULL").upper(),
        tuple(hindrances),
        tuple(one.strip() for one in only.split(",") if one.strip()),
        tuple(one.strip() for one in ignored.split(",") if one.strip()),
    )


def unfollowed_server(binlog: BinlogFacts, schema: str) -> Iterator[tuple[str, str]]:
    """Why the rows of a schema cannot be followed, each reason with its cure."""
    if not binlog.format:
        yield "the server's binlog is off", "set log_bin and binlog_format=ROW, and restart the server"
        return
    if binlog.format != "ROW":
        yield f"the server's binlog is {binlog.format}", "set binlog_format=ROW, and let sessions begin anew"
    for name, value in binlog.hindrances:
        yield f"events under the server's {name} are not read", f"set {name} to {value}"
    lowered = schema.lower()
    if lowered in map(str.lower, binlog.ignored) or (
        binlog.only and lowered not in map(str.lower, binlog.only)
    ):
        yield f"the server's binlog leaves '{schema}' out", "change binlog_do_db and binlog_ignore_db"


def unfollowed_table(
    binlog: BinlogFacts, schema: TableSchema, sharding_columns: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Why the rows of a table cannot be followed that are told apart by the sharding columns too."""
    wanted = tuple(sharding_columns)
    key = {name.lower() for name in schema.primary_key}
    more = sorted(name for name in wanted if name.lower() not in key)
    if more and binlog.row_image == "MINIMAL":
        yield f"its binlog has primary keys alone, without {', '.join(more)}", "set binlog_row_image to FULL"
    try:
        table = image_table(schema.name, schema).told_apart_by(wanted)
        followed_table(DataNode("", schema.name), schema, table)
    except MeshError as error:
        yield str(error.values["what"]), str(error.values["instead"])
