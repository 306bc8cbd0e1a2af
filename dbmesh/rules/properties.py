"""The properties of `global.yaml`: names, defaults, bounds.

Decides which properties exist. Properties of ShardingSphere without meaning here are accepted, so that its files load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dbmesh.rules.models import Properties
from dbmesh.rules.sections import suggestion
from dbmesh.rules.source import SourceFile

PropertyValue = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Property:
    """A property's default, which also tells its type, its least value, and what it does; a text may be one of
    `choices` only."""

    default: PropertyValue
    meaning: str
    least: int = 0
    choices: tuple[str, ...] = ()


PROPERTIES: Final[Mapping[str, Property]] = MappingProxyType(
    {
        "proxy-default-port": Property(3307, "TCP port of the listener.", 1),
        "proxy-frontend-max-connections": Property(0, "Most client connections; 0 is no limit."),
        "max-connections-size-per-query": Property(
            1, "Connections one statement may use per data source at the same time.", 1
        ),
        "sql-show": Property(False, "Logs every statement and what each data source receives."),
        "slow-statement-milliseconds": Property(
            0, "Logs statements that take so long or longer, without their values; 0 logs none."
        ),
        "system-log-level": Property(
            "INFO",
            "The least severe events that are logged: OFF, ERROR, WARN, INFO, DEBUG or TRACE.",
            choices=("OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"),
        ),
        "log-format": Property(
            "text",
            "text: lines for people. json: one JSON object per line, its fields are in OPERATIONS.md.",
            choices=("text", "json"),
        ),
        "max-allowed-packet": Property(67108864, "Longest statement or row, in bytes.", 1024),
        "plan-cache-size": Property(4096, "Plans kept; the least recently used one makes room.", 1),
        "merge-max-rows": Property(1000000, "Rows a merge that cannot stream may hold.", 1),
        "merge-max-bytes": Property(268435456, "Bytes a merge that cannot stream may hold.", 1),
        "federation-merge-node": Property(
            "",
            "Data source on which federated statements are merged; empty takes the one with most of their rows.",
        ),
        "federation-max-rows": Property(1000000, "Rows a federated statement may load on its merge node.", 1),
        "federation-max-bytes": Property(
            536870912, "Bytes a federated statement may load on its merge node.", 1
        ),
        "text-sharding-keys": Property(
            "by-collation",
            "by-collation: texts that the column's collation may hold equal are looked for on every data node. "
            "exact: they are always written and compared in one spelling, which leads to one data node.",
            choices=("by-collation", "exact"),
        ),
        "proxy-frontend-ssl-enabled": Property(False, "Offers TLS to clients."),
        "proxy-frontend-ssl-cert": Property(
            "", "PEM file of the certificate; empty makes a self-signed one."
        ),
        "proxy-frontend-ssl-key": Property("", "PEM file of the certificate's key."),
        "rules-drain-timeout-seconds": Property(
            60, "How long transactions begun under former rules may go on when rules change."
        ),
        "proxy-frontend-ssl-ca": Property("", "PEM file of the authorities that sign clients' certificates."),
        "drain-timeout-seconds": Property(
            10, "How long a stopping process waits for running statements and open transactions."
        ),
        "client-idle-timeout-seconds": Property(
            28800, "Idle clients are closed after this time; 0 is never."
        ),
    }
)

ACCEPTED: Final = frozenset(
    {
        "sql-simple",
        "kernel-executor-size",
        "check-table-metadata-enabled",
        "load-table-metadata-batch-size",
        "max-union-size-per-datasource",
        "proxy-frontend-flush-threshold",
        "proxy-backend-query-fetch-size",
        "proxy-frontend-executor-size",
        "proxy-netty-backlog",
        "proxy-frontend-database-protocol-type",
        "proxy-frontend-ssl-version",
        "proxy-frontend-ssl-cipher",
        "proxy-hint-enabled",
        "cdc-server-port",
        "sql-federation-type",
        "proxy-meta-data-collector-enabled",
        "system-schema-metadata-enabled",
        "agent-plugins-enabled",
        "persist-schemas-to-repository-enabled",
        "groovy-inline-expression-parsing-cache-max-size",
        "proxy-instance-type",
        "proxy-mysql-default-version",
        "proxy-default-mysql-version",
    }
)
"""Properties of ShardingSphere that are read and have no effect."""


def build_properties(source: SourceFile | None, given: Properties) -> Mapping[str, PropertyValue]:
    """Every known property with its value or default; mistakes are reported."""
    values: dict[str, PropertyValue] = {name: known.default for name, known in PROPERTIES.items()}
    for name, raw in given.items():
        if source is None or name in ACCEPTED:
            continue
        path = ("props", name)
        known = PROPERTIES.get(name)
        if known is None:
            source.report(path, f"unknown property '{name}'", suggestion(name, PROPERTIES))
        elif isinstance(known.default, bool):
            if raw.lower() not in ("true", "false"):
                source.report(path, f"'{raw}' is neither true nor false", "write true or false")
            values[name] = raw.lower() == "true"
        elif isinstance(known.default, int):
            try:
                number = int(raw)
            except ValueError:
                source.report(path, f"'{raw}' is not an integer", "write digits only")
                continue
            if number < known.least:
                source.report(path, f"{number} is below {known.least}", f"use {known.least} or more")
            values[name] = number
        elif known.choices and raw not in known.choices:
            source.report(path, f"unknown value '{raw}'", f"write {' or '.join(known.choices)}")
        else:
            values[name] = raw
    return MappingProxyType(values)
