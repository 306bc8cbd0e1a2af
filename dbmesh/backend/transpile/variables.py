"""System variables of translated data sources: MySQL's names and sensible values.

Decides what @@variables and SHOW VARIABLES answer. A variable that is not listed is unknown (error 1193).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from dbmesh.backend.state import SessionState
from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.collations import GENERAL_CI
from dbmesh.backend.transpile.refusals import ANYWHERE
from dbmesh.errors import WRONG_VALUE, MeshError
from dbmesh.sql.literals import unquote

DEFAULTS: Mapping[str, int | str] = MappingProxyType(
    {
        "auto_increment_increment": 1,
        "auto_increment_offset": 1,
        "autocommit": 1,
        "character_set_client": "utf8mb4",
        "character_set_connection": "utf8mb4",
        "character_set_database": "utf8mb4",
        "character_set_results": "utf8mb4",
        "character_set_server": "utf8mb4",
        "character_set_system": "utf8mb3",
        "collation_connection": GENERAL_CI,
        "collation_database": GENERAL_CI,
        "collation_server": GENERAL_CI,
        "default_storage_engine": "InnoDB",
        "foreign_key_checks": 1,
        "group_concat_max_len": 1024,
        "have_ssl": "DISABLED",
        "have_openssl": "DISABLED",
        "hostname": "localhost",
        "init_connect": "",
        "interactive_timeout": 28800,
        "license": "Apache-2.0",
        "lower_case_file_system": "OFF",
        "lower_case_table_names": 2,
        "max_allowed_packet": 67108864,
        "net_buffer_length": 16384,
        "net_read_timeout": 30,
        "net_write_timeout": 60,
        "performance_schema": 0,
        "protocol_version": 10,
        "query_cache_size": 0,
        "query_cache_type": "OFF",
        "sql_auto_is_null": 0,
        "sql_mode": "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        "sql_safe_updates": 0,
        "sql_select_limit": 18446744073709551615,
        "storage_engine": "InnoDB",
        "system_time_zone": "UTC",
        "time_zone": "+00:00",
        "transaction_read_only": 0,
        "tx_read_only": 0,
        "unique_checks": 1,
        "version_compile_machine": "x86_64",
        "version_compile_os": "Linux",
        "wait_timeout": 28800,
    }
)

STATUS: Mapping[str, str] = MappingProxyType({"Threads_connected": "1", "Uptime": "1", "Ssl_cipher": ""})
SWITCHES = frozenset(
    {"autocommit", "foreign_key_checks", "performance_schema", "sql_auto_is_null", "sql_safe_updates"}
    | {"transaction_read_only", "tx_read_only", "unique_checks"}
)
_WORDS: Mapping[str, int] = MappingProxyType({"on": 1, "true": 1, "off": 0, "false": 0})


def value_of(expression: str) -> Stored:
    """The value of a SET's right side: a quoted text, a number, ON, OFF or a bare word."""
    text = expression.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return unquote(text, False)
    if text.lstrip("-").isdigit():
        return int(text)
    return None if text.upper() == "NULL" else _WORDS.get(text.lower(), text)


_CHANGES_READING = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "ANSI", "HIGH_NOT_PRECEDENCE")
_MOMENT = re.compile(r"\d{1,10}(\.\d+)?")
_CHARSETS = frozenset({"", "utf8mb4", "utf8", "utf8mb3"})


def settings_of(state: SessionState) -> dict[str, Stored]:
    """The variables of a session state. Raises MeshError for values that would have to change answers here."""
    charset = state.names.split(" ")[0].strip("'\"").lower()
    if charset not in _CHARSETS:
        raise ANYWHERE.refusal(f"the character set {charset}", "SET NAMES utf8mb4")
    settings = {name: value_of(value) for name, value in state.variables if " " not in name}
    modes = str(settings.get("sql_mode", "")).upper().split(",")
    for mode in _CHANGES_READING:
        if mode in (part.strip() for part in modes):
            raise ANYWHERE.refusal(f"sql_mode {mode}", "leave it out")
    zone = str(settings.get("time_zone", "UTC")).upper()
    if zone not in ("UTC", "SYSTEM", "+00:00", "DEFAULT"):
        raise ANYWHERE.refusal(f"time_zone {zone}", "use '+00:00'")
    if "sql_select_limit" in settings:
        raise ANYWHERE.refusal("sql_select_limit", "write LIMIT")
    moment = str(settings.get("timestamp", 0))
    if _MOMENT.fullmatch(moment) is None:
        raise MeshError(WRONG_VALUE, name="timestamp", value=moment)
    return settings


def shown(name: str, value: Stored) -> str:
    """A value as SHOW VARIABLES prints it."""
    if name in SWITCHES:
        return "ON" if value in (1, "1") else "OFF"
    return "" if value is None else str(value)
