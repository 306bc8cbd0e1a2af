"""Numbers of the MySQL protocol by their names: capabilities, commands, types, flags, status.

Decides nothing; sources are the manual pages "MySQL Source Code Documentation: Client/Server Protocol" and the
MariaDB knowledge base "Clients & Utilities / Protocol". Collations live in `collations.py` and are named here too.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from dbmesh.wire.collations import (
    charset_of_collation,
    collation_id,
    collation_name,
    default_collation,
    encoding,
)

__all__ = [
    "MAX_PAYLOAD",
    "Capability",
    "ColumnFlag",
    "ColumnType",
    "Command",
    "CursorFlag",
    "ResponseKind",
    "Status",
    "charset_of_collation",
    "collation_id",
    "collation_name",
    "default_collation",
    "encoding",
]

MAX_PAYLOAD = 0xFFFFFF
"""Longest payload of one packet in bytes; a longer one is continued in the next packet."""


class Capability(IntFlag):
    """Capability flags of the handshake (CLIENT_*). Those above bit 31 are MariaDB's own: they travel in what MySQL leaves
    reserved, and count where LONG_PASSWORD is not set, which only MySQL sets."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    RESERVED = 1 << 14
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24
    OPTIONAL_RESULTSET_METADATA = 1 << 25
    ZSTD_COMPRESSION = 1 << 26
    QUERY_ATTRIBUTES = 1 << 27
    MULTI_FACTOR_AUTHENTICATION = 1 << 28
    CAPABILITY_EXTENSION = 1 << 29
    SSL_VERIFY_SERVER_CERT = 1 << 30
    REMEMBER_OPTIONS = 1 << 31
    STMT_BULK_OPERATIONS = 1 << 34


class Command(IntEnum):
    """First byte of a command packet (COM_*)."""

    SLEEP = 0x00
    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    CREATE_DB = 0x05
    DROP_DB = 0x06
    REFRESH = 0x07
    SHUTDOWN = 0x08
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    CONNECT = 0x0B
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    TIME = 0x0F
    DELAYED_INSERT = 0x10
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    TABLE_DUMP = 0x13
    CONNECT_OUT = 0x14
    REGISTER_SLAVE = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    DAEMON = 0x1D
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F
    CLONE = 0x20
    STMT_BULK_EXECUTE = 0xFA


class ColumnType(IntEnum):
    """Type byte of column definitions and bound parameters (MYSQL_TYPE_*)."""

    DECIMAL = 0x00
    TINY = 0x01
    SHORT = 0x02
    LONG = 0x03
    FLOAT = 0x04
    DOUBLE = 0x05
    NULL = 0x06
    TIMESTAMP = 0x07
    LONGLONG = 0x08
    INT24 = 0x09
    DATE = 0x0A
    TIME = 0x0B
    DATETIME = 0x0C
    YEAR = 0x0D
    NEWDATE = 0x0E
    VARCHAR = 0x0F
    BIT = 0x10
    VECTOR = 0xF2
    JSON = 0xF5
    NEWDECIMAL = 0xF6
    ENUM = 0xF7
    SET = 0xF8
    TINY_BLOB = 0xF9
    MEDIUM_BLOB = 0xFA
    LONG_BLOB = 0xFB
    BLOB = 0xFC
    VAR_STRING = 0xFD
    STRING = 0xFE
    GEOMETRY = 0xFF


class ColumnFlag(IntFlag):
    """Flags of a column definition (NOT_NULL_FLAG …)."""

    NOT_NULL = 1
    PRIMARY_KEY = 1 << 1
    UNIQUE_KEY = 1 << 2
    MULTIPLE_KEY = 1 << 3
    BLOB = 1 << 4
    UNSIGNED = 1 << 5
    ZEROFILL = 1 << 6
    BINARY = 1 << 7
    ENUM = 1 << 8
    AUTO_INCREMENT = 1 << 9
    TIMESTAMP = 1 << 10
    SET = 1 << 11
    NO_DEFAULT_VALUE = 1 << 12
    ON_UPDATE_NOW = 1 << 13
    PART_KEY = 1 << 14
    NUM = 1 << 15


class Status(IntFlag):
    """Server status of OK and EOF packets (SERVER_*)."""

    IN_TRANS = 1
    AUTOCOMMIT = 1 << 1
    MORE_RESULTS_EXISTS = 1 << 3
    NO_GOOD_INDEX_USED = 1 << 4
    NO_INDEX_USED = 1 << 5
    CURSOR_EXISTS = 1 << 6
    LAST_ROW_SENT = 1 << 7
    DB_DROPPED = 1 << 8
    NO_BACKSLASH_ESCAPES = 1 << 9
    METADATA_CHANGED = 1 << 10
    QUERY_WAS_SLOW = 1 << 11
    PS_OUT_PARAMS = 1 << 12
    IN_TRANS_READONLY = 1 << 13
    SESSION_STATE_CHANGED = 1 << 14


class CursorFlag(IntFlag):
    """Flags of COM_STMT_EXECUTE (CURSOR_TYPE_*); PARAMETER_COUNT_AVAILABLE goes with query attributes."""

    READ_ONLY = 1
    FOR_UPDATE = 2
    SCROLLABLE = 4
    PARAMETER_COUNT_AVAILABLE = 8


class ResponseKind(IntEnum):
    """Which answer a command has."""

    QUERY = 0
    """OK, ERR, LOCAL INFILE or result sets, text and binary alike: COM_QUERY, COM_STMT_EXECUTE."""
    PREPARE = 1
    FETCH = 2
    SIMPLE = 3
    """One OK, ERR or EOF packet."""
    FIELD_LIST = 4
    STATISTICS = 5
    """One packet that is a string."""
