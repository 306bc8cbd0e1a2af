"""Statements no sharded mesh can honour, by their first words: what they are and what to do instead.

Decides refusals only. What is not listed here goes on to the planner, which refuses whatever it does not know.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.planner.lexemes import LexemeReader

_ADMINISTRATOR = "run it on the data source itself with an administrator account"
_REPLICATION = "replication belongs to each data source; ask it there"

# Longer beginnings come first; a beginning matches whole words.
REFUSALS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("BEGIN", "NOT", "ATOMIC"), "BEGIN NOT ATOMIC", "send the statements one by one"),
    (("LOCK",), "LOCK", "use a transaction with SELECT … FOR UPDATE; for mysqldump add --single-transaction"),
    (("UNLOCK", "INSTANCE"), "UNLOCK INSTANCE", _ADMINISTRATOR),
    (("HANDLER",), "HANDLER", "use SELECT"),
    (("CHANGE",), "CHANGE MASTER / REPLICATION", _REPLICATION),
    (("START", "SLAVE"), "START SLAVE", _REPLICATION),
    (("START", "REPLICA"), "START REPLICA", _REPLICATION),
    (("START", "GROUP_REPLICATION"), "START GROUP_REPLICATION", _REPLICATION),
    (("STOP",), "STOP", _REPLICATION),
    (("PURGE",), "PURGE", _REPLICATION),
    (("BINLOG",), "BINLOG", _REPLICATION),
    (("RESET",), "RESET", _ADMINISTRATOR),
    (("INSTALL",), "INSTALL", _ADMINISTRATOR),
    (("UNINSTALL",), "UNINSTALL", _ADMINISTRATOR),
    (("CACHE",), "CACHE INDEX", _ADMINISTRATOR),
    (("SHUTDOWN",), "SHUTDOWN", "stop the mesh process or the data source itself"),
    (("RESTART",), "RESTART", _ADMINISTRATOR),
    (("CLONE",), "CLONE", _ADMINISTRATOR),
    (("BACKUP",), "BACKUP", _ADMINISTRATOR),
    (("IMPORT",), "IMPORT TABLE", _ADMINISTRATOR),
    (("LOAD", "XML"), "LOAD XML", "use LOAD DATA LOCAL INFILE, or INSERT … VALUES"),
    (("LOAD", "INDEX"), "LOAD INDEX", _ADMINISTRATOR),
    (("HELP",), "HELP", "read the manual of the data sources' server"),
    (("SIGNAL",), "SIGNAL", "raise the error in the application"),
    (("RESIGNAL",), "RESIGNAL", "raise the error in the application"),
    (("SET", "RESOURCE"), "SET RESOURCE GROUP", _ADMINISTRATOR),
    (("KILL", "USER"), "KILL USER", "kill each connection by its id (SHOW PROCESSLIST)"),
    (("KILL", "QUERY", "ID"), "KILL QUERY ID", "kill the connection by its id (SHOW PROCESSLIST)"),
    (("KILL", "HARD"), "KILL HARD", "write KILL without HARD"),
    (("KILL", "SOFT"), "KILL SOFT", "write KILL without SOFT"),
    (("SHOW", "PROFILE"), "SHOW PROFILE", "use EXPLAIN"),
    (("SHOW", "PROFILES"), "SHOW PROFILES", "use EXPLAIN"),
    (("SHOW", "OPEN"), "SHOW OPEN TABLES", "ask the data source itself; it describes one server"),
)
"""Beginnings of statements nobody answers here: their words, what they are called, and what to do instead."""

_OBJECTS = (
    "SERVER",
    "TABLESPACE",
    "UNDO",
    "LOGFILE",
    "INSTANCE",
    "RESOURCE",
    "PACKAGE",
)


def refuse_unsupported(reader: LexemeReader) -> None:
    """Raise MeshError(NOT_SUPPORTED) when the statement begins like one of the table's; else do nothing."""
    for words, what, instead in REFUSALS:
        if reader.looks_at(*words):
            raise not_supported(what, instead)
    if reader.peek().word not in ("CREATE", "ALTER", "DROP"):
        return
    # `CREATE OR REPLACE ROLE`: the object's word stands within the next few.
    verb = reader.peek().word
    ahead = 3 if reader.looks_at("CREATE", "OR", "REPLACE") else 1
    word = reader.peek(ahead).word
    if word in _OBJECTS:
        raise not_supported(f"{verb} {word}", _ADMINISTRATOR)
