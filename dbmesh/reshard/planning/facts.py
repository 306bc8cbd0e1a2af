"""What is known of the data sources of a reshard job: values, and how a server's grants are read.

Pure; knows neither who has asked nor what it means for the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dbmesh.model import TableSchema
from dbmesh.reshard.binlogs.followable import BinlogFacts
from dbmesh.reshard.jobs.scope import Seen

_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<schema>`(?:[^`]|``)+`|\*)\.(?P<table>\S+) TO ")


class HindranceKind(Enum):
    """What PostgreSQL's catalog tells of a table that moving it depends on; `Hindrance.detail` is a name."""

    PARTITIONED = "partitioned"
    INHERITS = "inherits"
    GENERATED = "generated"
    ALWAYS_NUMBERED = "always numbered"
    NUMBERED = "numbered"
    EXCLUSION = "exclusion"
    DEFERRABLE = "deferrable"
    PARTLY_UNIQUE = "partly unique"
    RULE = "rule"
    POLICIES = "policies"
    VIEW = "view"
    OWNER = "owner"
    GRANTED = "granted"
    OWN_TYPE = "own type"
    SLOW_KEY = "slow key"


class Hindrance(NamedTuple):
    """One such thing."""

    kind: HindranceKind
    detail: str


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """Of a PostgreSQL server: how many transactions may be prepared at a time, and whether the account may create tables."""

    most_prepared: int
    may_create: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One actual table. `rows` and `size` (bytes, with indexes) are the server's estimates, None where it tells none. `triggers` and
    `references` (foreign keys of it, and to it) are names, `programs` the stored programs that name it: kind and name."""

    schema: TableSchema
    engine: str = ""
    rows: int | None = None
    size: int | None = None
    triggers: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    hindrances: tuple[Hindrance, ...] = ()
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One schema and its server. `unreachable` says why nothing is known of it. `binlog` tells how it logs changes. `granted`: privileges (upper case) of the data source's account on all of the schema; None where servers of its kind
    tell otherwise. `oldest` is the age in seconds of the server's oldest open transaction, None where that is not told. `most_connections`: what the server takes at
    a time, 0 where that is not told."""

    version: str = ""
    unreachable: str = ""
    binlog: BinlogFacts = field(default_factory=BinlogFacts)
    granted: frozenset[str] | None = None
    oldest: int | None = None
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    most_connections: int = 0
    postgres: PostgresFacts | None = None

    def table(self, name: str) -> TableFacts | None:
        """Compared without case: some servers do."""
        return self.tables.get(name.lower())


Survey = Mapping[Seen, ServerFacts]


def granted(schema: str, lines: Iterable[str]) -> frozenset[str]:
    """What SHOW GRANTS gives on all of a schema, in upper case: `ALL` for all privileges. Those on single tables and columns are left
    out."""
    found: set[str] = set()
    for line in lines:
        match = _GRANT.match(line)
        if match is None or match["table"] != "*" or not _names(match["schema"], schema):
            continue
        for privilege in match["privileges"].split(","):
            name = privilege.strip().upper()
            found.add("ALL" if name == "ALL PRIVILEGES" else name)
    return frozenset(found)


def _names(pattern: str, schema: str) -> bool:
    """Whether a grant's database, in which % and _ are wild cards unless escaped, is this one."""
    if pattern == "*":
        return True
    text = pattern.strip("`").replace("``", "`")
    parts = re.split(r"(\\[%_]|[%_])", text)
    wild = {"%": ".*", "_": ".", "\\%": "%", "\\_": "_"}
    expression = "".join(wild[part] if part in wild else re.escape(part) for part in parts)
    return re.fullmatch(expression, schema, re.IGNORECASE) is not None
