"""The one table of errors dbmesh itself raises: number, SQLSTATE, whose fault, retryable, sentence.

Decides what a client sees when the mesh refuses or fails. Knows nothing of packets or of where an error is raised.
Numbers are MySQL's own (manual: "Server Error Message Reference"), so that drivers map them to the exception
classes their users already catch. Errors a shard reports are not in this table; they travel as `ShardError`. What keeps
the mesh from starting is no client's: `StartError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """Whose side an error is on."""

    CLIENT = "client"
    SHARD = "shard"
    MESH = "mesh"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table. `message` is a `str.format` template; `retryable` says whether the very same
    statement may succeed when it is sent again, `unhealthy` that a data source does badly: circuit breakers count it."""

    name: str
    number: int
    sqlstate: str
    fault: Fault
    retryable: bool
    message: str
    unhealthy: bool = False


class MeshError(Exception):
    """An error of the table with its sentence filled in. The session turns it into an error packet and lives on."""

    def __init__(self, kind: ErrorKind, **values: object) -> None:
        super().__init__(kind.message.format(**values))
        self.kind = kind
        self.values = values

    @property
    def number(self) -> int:
        """MySQL error number of the packet."""
        return self.kind.number

    @property
    def sqlstate(self) -> str:
        """Five-character SQLSTATE of the packet."""
        return self.kind.sqlstate


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something cannot be done, kept with a plan to be told whenever it is asked for. A kept exception would keep the frames it was
    raised in, with the rules and sessions they know, and more of them each time."""

    kind: ErrorKind
    values: Mapping[str, object]

    @classmethod
    def of(cls, error: MeshError) -> Refusal:
        """What `error` says."""
        return cls(error.kind, error.values)

    def error(self) -> MeshError:
        """To be raised."""
        return MeshError(self.kind, **self.values)


class ShardError(Exception):
    """An error packet a data source sent: its number, SQLSTATE and text, names not yet turned back."""

    def __init__(self, number: int, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.sqlstate = sqlstate
        self.message = message


class StartError(Exception):
    """The mesh cannot start; the text is one sentence for the operator."""


class ProtocolError(Exception):
    """The peer broke the protocol: its connection is closed and never reused."""


def _client(name: str, number: int, sqlstate: str, message: str, *, retryable: bool = False) -> ErrorKind:
    return ErrorKind(name, number, sqlstate, Fault.CLIENT, retryable, message)


def _shard(
    name: str, number: int, sqlstate: str, message: str, *, retryable: bool = False, unhealthy: bool = False
) -> ErrorKind:
    return ErrorKind(name, number, sqlstate, Fault.SHARD, retryable, message, unhealthy)


def _mesh(name: str, number: int, sqlstate: str, message: str, *, retryable: bool = False) -> ErrorKind:
    return ErrorKind(name, number, sqlstate, Fault.MESH, retryable, message)


NOT_SUPPORTED = _client("NOT_SUPPORTED", 1235, "42000", "dbmesh: not supported: {what}; {instead}")
ACCESS_DENIED = _client(
    "ACCESS_DENIED", 1045, "28000", "Access denied for user '{user}'@'{host}' (using password: {using})"
)
UNKNOWN_DATABASE = _client("UNKNOWN_DATABASE", 1049, "42000", "Unknown database '{database}'")
NO_DATABASE = _client("NO_DATABASE", 1046, "3D000", "No database selected")
UNKNOWN_TABLE = _client("UNKNOWN_TABLE", 1146, "42S02", "Table '{database}.{table}' doesn't exist")
NOT_UPDATABLE = _client(
    "NOT_UPDATABLE", 1288, "HY000", "The target table {view} of the {verb} is not updatable"
)
NOT_INSERTABLE = _client(
    "NOT_INSERTABLE", 1471, "HY000", "The target table {view} of the INSERT is not insertable-into"
)
INVALID_VIEW = _client(
    "INVALID_VIEW",
    1356,
    "HY000",
    "View '{database}.{view}' references invalid table(s) or column(s) or function(s) or definer/invoker of view lack "
    "rights to use them",
)
TABLE_EXISTS = _client("TABLE_EXISTS", 1050, "42S01", "Table '{table}' already exists")
KEY_IS_NEEDED = _client(
    "KEY_IS_NEEDED", 1553, "HY000", "Cannot drop index '{key}': needed in a foreign key constraint"
)
NAME_TOO_LONG = _client("NAME_TOO_LONG", 1059, "42000", "Identifier name '{name}' is too long")
DATABASE_DENIED = _client(
    "DATABASE_DENIED", 1044, "42000", "Access denied for user '{user}'@'{host}' to database '{database}'"
)
DATABASE_EXISTS = _client(
    "DATABASE_EXISTS", 1007, "HY000", "Can't create database '{database}'; database exists"
)
DATABASE_ABSENT = _client(
    "DATABASE_ABSENT", 1008, "HY000", "Can't drop database '{database}'; database doesn't exist"
)
UNKNOWN_COMMAND = _client("UNKNOWN_COMMAND", 1047, "08S01", "Unknown command")
UNKNOWN_THREAD = _client("UNKNOWN_THREAD", 1094, "HY000", "Unknown thread id: {id}")
NOT_THREAD_OWNER = _client("NOT_THREAD_OWNER", 1095, "HY000", "You are not owner of thread {id}")
UNKNOWN_CHARSET = _client("UNKNOWN_CHARSET", 1115, "42000", "Unknown character set: '{name}'")
UNKNOWN_VARIABLE = _client("UNKNOWN_VARIABLE", 1193, "HY000", "Unknown system variable '{name}'")
WRONG_VALUE = _client(
    "WRONG_VALUE", 1231, "42000", "Variable '{name}' can't be set to the value of '{value}'"
)
UNKNOWN_ROUTINE = _client("UNKNOWN_ROUTINE", 1305, "42000", "{routine} {name} does not exist")
UNKNOWN_SEQUENCE = _client("UNKNOWN_SEQUENCE", 4091, "42S02", "Unknown SEQUENCE: '{table}'")
UNKNOWN_EVENT = _client("UNKNOWN_EVENT", 1539, "HY000", "Unknown event '{name}'")
UNKNOWN_TRIGGER = _client("UNKNOWN_TRIGGER", 1360, "HY000", "Trigger does not exist")
SAVEPOINT_UNKNOWN = _client("SAVEPOINT_UNKNOWN", 1305, "42000", "SAVEPOINT {name} does not exist")
AMBIGUOUS_COLUMN = _client("AMBIGUOUS_COLUMN", 1052, "23000", "Column '{column}' in {clause} is ambiguous")
UNKNOWN_COLUMN = _client("UNKNOWN_COLUMN", 1054, "42S22", "Unknown column '{column}' in '{clause}'")
COLUMN_TWICE = _client("COLUMN_TWICE", 1110, "42000", "Column '{column}' specified twice")
UNDECLARED_VARIABLE = _client("UNDECLARED_VARIABLE", 1327, "42000", "Undeclared variable: {name}")
WRONG_CONDITION = _client("WRONG_CONDITION", 1758, "35000", "Invalid condition number")
UNKNOWN_STATEMENT = _client(
    "UNKNOWN_STATEMENT", 1243, "HY000", "Unknown prepared statement handler ({id}) given to {command}"
)
TABLE_DENIED = _client(
    "TABLE_DENIED", 1142, "42000", "{verb} command denied to user '{user}'@'{host}' for table '{table}'"
)
COLUMN_DENIED = _client(
    "COLUMN_DENIED",
    1143,
    "42000",
    "{verb} command denied to user '{user}'@'{host}' for column '{column}' in table '{table}'",
)
ROUTINE_DENIED = _client(
    "ROUTINE_DENIED", 1370, "42000", "{verb} command denied to user '{user}'@'{host}' for routine '{routine}'"
)
PRIVILEGE_NEEDED = _client(
    "PRIVILEGE_NEEDED",
    1227,
    "42000",
    "Access denied; you need (at least one of) the {privilege} privilege(s) for this operation",
)
NOT_IN_PREPARED = _client(
    "NOT_IN_PREPARED", 1295, "HY000", "This command is not supported in the prepared statement protocol yet"
)
CURSOR_INTO = _client("CURSOR_INTO", 1323, "42000", "Cursor SELECT must not have INTO")
NO_CURSOR = _client("NO_CURSOR", 1421, "HY000", "The statement ({id}) has no open cursor.")
TOO_MANY_STATEMENTS = _client(
    "TOO_MANY_STATEMENTS", 1461, "42000", "Can't create more than {limit} prepared statements in one session"
)
WRONG_ARGUMENTS = _client("WRONG_ARGUMENTS", 1210, "HY000", "Incorrect arguments to {command}")
PARSE_ERROR = _client(
    "PARSE_ERROR",
    1064,
    "42000",
    "You have an error in your SQL syntax: dbmesh could not read the statement near '{near}' at line {line}",
)
WRONG_SEPARATORS = _client(
    "WRONG_SEPARATORS", 1083, "42000", "Field separator argument is not what is expected; check the manual"
)
LOCAL_FILES_DISABLED = _client(
    "LOCAL_FILES_DISABLED",
    4166,
    "HY000",
    "The used command is not allowed because the MariaDB server or client has disabled the local infile capability",
)
EMPTY_QUERY = _client("EMPTY_QUERY", 1065, "42000", "Query was empty")
INVALID_TEXT = _client("INVALID_TEXT", 1300, "HY000", "Invalid {charset} character string: '{text}'")
BAD_HANDSHAKE = _client("BAD_HANDSHAKE", 1043, "08S01", "Bad handshake")
NOT_SUPPORTED_AUTH_MODE = _client(
    "NOT_SUPPORTED_AUTH_MODE",
    1251,
    "08004",
    "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
)
MALFORMED_PACKET = _client("MALFORMED_PACKET", 1835, "HY000", "Malformed communication packet")
PACKETS_OUT_OF_ORDER = _client("PACKETS_OUT_OF_ORDER", 1156, "08S01", "Got packets out of order")
PACKET_TOO_LARGE = _client(
    "PACKET_TOO_LARGE", 1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"
)
NULL_REFUSED = _client("NULL_REFUSED", 1048, "23000", "Column '{column}' cannot be null")
INTO_COLUMNS = _client(
    "INTO_COLUMNS", 1222, "21000", "The used SELECT statements have a different number of columns"
)
TOO_MANY_ROWS = _client("TOO_MANY_ROWS", 1172, "42000", "Result consisted of more than one row")
COLUMN_COUNT = _client("COLUMN_COUNT", 1136, "21S01", "Column count doesn't match value count at row {row}")
TOO_MANY_CONNECTIONS = _client("TOO_MANY_CONNECTIONS", 1040, "08004", "Too many connections", retryable=True)
QUERY_INTERRUPTED = _client("QUERY_INTERRUPTED", 1317, "70100", "Query execution was interrupted")
SHARDING_KEY_REQUIRED = _client(
    "SHARDING_KEY_REQUIRED",
    1235,
    "42000",
    "dbmesh: not supported: {verb} on '{table}' without a sharding condition (refused by auditor '{auditor}'); "
    "add a condition on {columns}",
)
NO_ROUTE = _client(
    "NO_ROUTE",
    1526,
    "HY000",
    "dbmesh: table '{table}' has no data node for the value {value}: {reason}",
)
SECURE_TRANSPORT = _client("SECURE_TRANSPORT", 2061, "HY000", "Authentication requires secure connection")
DATA_SOURCE_UNREACHABLE = _shard(
    "DATA_SOURCE_UNREACHABLE",
    1105,
    "08S01",
    "dbmesh: data source '{data_source}' cannot be reached: {reason}",
    retryable=True,
    unhealthy=True,
)
TABLES_UNREAD = _shard(
    "TABLES_UNREAD",
    1105,
    "08S01",
    "{unknown} on the data sources that could be read; {reason}",
    retryable=True,
)
CATALOG_UNREAD = _shard(
    "CATALOG_UNREAD",
    1105,
    "08S01",
    "dbmesh: not all tables of '{database}' are known: {reason}",
    retryable=True,
)
DATA_SOURCE_LOST = _shard(
    "DATA_SOURCE_LOST",
    1105,
    "08S01",
    "dbmesh: data source '{data_source}' closed the connection during the statement: {reason}",
    unhealthy=True,
)
TRANSACTION_BROKEN = _shard(
    "TRANSACTION_BROKEN",
    1105,
    "25S03",
    "dbmesh: the transaction was rolled back ({reason}); send ROLLBACK before anything else",
)
TRANSACTION_ROLLED_BACK = _shard(
    "TRANSACTION_ROLLED_BACK",
    1105,
    "25S03",
    "dbmesh: nothing was committed: the connection to data source '{data_source}' was lost and the transaction "
    "was rolled back",
    retryable=True,
)
NOTHING_COMMITTED = _shard(
    "NOTHING_COMMITTED",
    1105,
    "25S03",
    "dbmesh: nothing was committed, the transaction was rolled back: {reason}",
    retryable=True,
)
TRANSACTION_UNDER_WAY = _client(
    "TRANSACTION_UNDER_WAY",
    1568,
    "25001",
    "Transaction characteristics can't be changed while a transaction is in progress",
)
WRONG_XID = _client("WRONG_XID", 1398, "XAE05", "XAER_INVAL: Invalid arguments (or unsupported command)")
UNKNOWN_XID = _client("UNKNOWN_XID", 1397, "XAE04", "XAER_NOTA: Unknown XID")
XA_WRONG_STATE = _client(
    "XA_WRONG_STATE",
    1399,
    "XAE07",
    "XAER_RMFAIL: The command cannot be executed when global transaction is in the  {state} state",
)
XA_OUTSIDE = _client(
    "XA_OUTSIDE", 1400, "XAE09", "XAER_OUTSIDE: Some work is done outside global transaction"
)
TRANSACTION_UNKNOWN = _shard(
    "TRANSACTION_UNKNOWN",
    1105,
    "08007",
    "dbmesh: whether the transaction is committed is not known yet: data source '{data_source}', which decides, cannot "
    "be reached ({reason}); it is settled as a whole when it can, see dbmesh transactions list",
)
NO_DECISIONS = _shard(
    "NO_DECISIONS",
    1105,
    "25000",
    "dbmesh: nothing was committed: data source '{data_source}' cannot keep decisions in table {table} ({reason}); a "
    "transaction over several data sources needs it, or transaction.defaultType: LOCAL",
)
COMPENSATION_STOPPED = _shard(
    "COMPENSATION_STOPPED",
    1105,
    "25S03",
    "dbmesh: the writes after the savepoint could not all be undone ({reason}): the transaction was rolled back as far as "
    "possible, see dbmesh transactions list",
)
POOL_EXHAUSTED = _shard(
    "POOL_EXHAUSTED",
    1040,
    "08004",
    "dbmesh: no connection to data source '{data_source}' became free within {seconds} s (pool of {size})",
    retryable=True,
    unhealthy=True,
)
NO_PRIMARY = _shard(
    "NO_PRIMARY",
    1105,
    "08S01",
    "dbmesh: data source '{group}' has no primary that takes writes: {reason}",
    retryable=True,
)
NO_REPLICA = _shard(
    "NO_REPLICA",
    1105,
    "08S01",
    "dbmesh: data source '{group}' has no replica that can be read: {reason}",
    retryable=True,
)
BREAKER_OPEN = _shard(
    "BREAKER_OPEN",
    3168,
    "HY000",
    "dbmesh: the circuit breaker of {name} is {state}, so the statement was not run; {when}",
    retryable=True,
)
UNDECIPHERABLE = _mesh(
    "UNDECIPHERABLE",
    1105,
    "HY000",
    "dbmesh: a value of the encrypted column '{column}' cannot be decrypted: the key it was made by is not among those of the "
    "rules, or it was changed",
)
LIMIT_REACHED = _client(
    "LIMIT_REACHED",
    1226,
    "42000",
    "dbmesh: the limit '{name}' of {what} is reached ({limit}), {waited}",
    retryable=True,
)
TOO_MANY_OF_USER = _client(
    "TOO_MANY_OF_USER",
    1203,
    "42000",
    "User {user} already has more than 'max_user_connections' active connections (dbmesh: limit '{name}', {limit})",
    retryable=True,
)
ACCOUNT_FAILED = _client("ACCOUNT_FAILED", 1396, "HY000", "Operation {verb} failed for {names}")
ACCOUNT_NAME_TOO_LONG = _client(
    "ACCOUNT_NAME_TOO_LONG",
    1470,
    "HY000",
    "String '{text}' is too long for {what} (should be no longer than {most})",
)
NO_SUCH_ACCOUNT = _client("NO_SUCH_ACCOUNT", 1133, "28000", "Can't find any matching row in the user table")
NO_SUCH_GRANT = _client(
    "NO_SUCH_GRANT", 1141, "42000", "There is no such grant defined for user '{user}' on host '{host}'"
)
NO_SUCH_TABLE_GRANT = _client(
    "NO_SUCH_TABLE_GRANT",
    1147,
    "42000",
    "There is no such grant defined for user '{user}' on host '{host}' on table '{table}'",
)
REVOKE_ALL_FAILED = _client(
    "REVOKE_ALL_FAILED", 1269, "HY000", "Can't revoke all privileges for one or more of the requested users"
)
INVALID_ROLE = _client("INVALID_ROLE", 1959, "OP000", "Invalid role specification {role}")
ROLE_NOT_GRANTED = _client(
    "ROLE_NOT_GRANTED", 1959, "OP000", "User {user}@{host} has not been granted role {role}"
)
CANNOT_GRANT_ROLE = _client("CANNOT_GRANT_ROLE", 1961, "HY000", "Cannot grant role '{role}' to: {account}")
CANNOT_REVOKE_ROLE = _client(
    "CANNOT_REVOKE_ROLE", 1962, "HY000", "Cannot revoke role '{role}' from: {account}"
)
ROLE_DENIED = _client("ROLE_DENIED", 1698, "28000", "Access denied for user '{user}'@'{host}'")
ACCOUNT_HASH = _client("ACCOUNT_HASH", 1372, "HY000", "Password hash should be a 41-digit hexadecimal number")
ACCOUNT_PLUGIN = _client("ACCOUNT_PLUGIN", 1524, "HY000", "Plugin '{plugin}' is not loaded")
ACCOUNT_LOCKED = _client("ACCOUNT_LOCKED", 4151, "HY000", "Access denied, this account is locked")
GRANT_ELSEWHERE = _client(
    "GRANT_ELSEWHERE",
    1144,
    "42000",
    "Illegal GRANT/REVOKE command; please consult the manual to see which privileges can be used",
)
WRONG_USAGE = _client("WRONG_USAGE", 1221, "HY000", "Incorrect usage of {one} and {other}")
CREATE_BY_GRANT = _client("CREATE_BY_GRANT", 1410, "42000", "You are not allowed to create a user with GRANT")
FIREWALL_DENIED = _client(
    "FIREWALL_DENIED",
    1148,
    "42000",
    "dbmesh: the firewall stopped this statement ({fingerprint}, rule '{rule}'): {message}",
)
STATEMENT_TIMEOUT = _client(
    "STATEMENT_TIMEOUT",
    3024,
    "HY000",
    "Query execution was interrupted, maximum statement execution time exceeded (dbmesh: timeout '{name}', {seconds:g} s)",
)
ANSWER_TOO_LARGE = _client(
    "ANSWER_TOO_LARGE",
    1104,
    "42000",
    "dbmesh: the answer has more than {limit} (timeout '{name}'); add conditions or a LIMIT",
)
MERGE_LIMIT = _mesh(
    "MERGE_LIMIT",
    1104,
    "42000",
    "dbmesh: the merge of this statement needs more than {limit} ({setting}); add conditions or raise the limit",
)
TABLE_CHANGED = _mesh(
    "TABLE_CHANGED",
    1412,
    "HY000",
    "dbmesh: the definition of table '{table}' has changed; send the statement again",
    retryable=True,
)
STORE = _mesh("STORE", 1105, "HY000", "dbmesh: the store failed: {reason}", retryable=True)
SERVER_SHUTDOWN = _mesh("SERVER_SHUTDOWN", 1053, "08S01", "Server shutdown in progress", retryable=True)
DATA_SOURCE_DISABLED = _mesh(
    "DATA_SOURCE_DISABLED",
    3168,
    "HY000",
    "dbmesh: data source '{data_source}' is disabled; dbmesh data-sources enable puts it back into service",
)
NOT_SERVING = _mesh(
    "NOT_SERVING", 1053, "08S01", "dbmesh: this sidecar serves no clients: {reason}", retryable=True
)
INTERNAL = _mesh("INTERNAL", 1105, "HY000", "dbmesh: internal error ({reason}); the session goes on")

ROLLED_BACK_BY_SERVER = frozenset({1020, 1206, 1213})
"""Errors after which InnoDB has rolled back the whole transaction: a row changed behind its snapshot (MariaDB's
innodb_snapshot_isolation), lock table full, deadlock."""

DEADLOCK = (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
"""What a server says of a deadlock it sees, as number, SQLSTATE and text: the mesh says it of one no server sees."""

READ_ONLY = frozenset({1290, 1836})
"""Errors of a server that has become read-only: nothing of the statement was done."""


UNHEALTHY = frozenset(
    {
        # The connection broke, or could not be made.
        *(2002, 2003, 2006, 2012, 2013, 1042, 1129, 1158, 1159, 1160, 1161, 1189, 1190, 1927),
        # The server stops, has no room, or gives up waiting.
        *(1021, 1037, 1038, 1040, 1041, 1053, 1135, 1203, 1205, 1969, 3024, 3168),
        # Its storage fails.
        *(1015, 1023, 1024, 1026, 1030, 1034, 1194, 1195, 1696, 1877),
    }
)
"""Errors of a server that does badly: circuit breakers count them. Deadlocks, a server that has become read-only, and what is the
statement's own fault (syntax, constraints, rights) say nothing of its health."""


FAILED_READS = UNHEALTHY - {1205, 1927, 1969, 3024, 3168}
"""Errors of a server that could not do what another one can: not that somebody waited, was killed or was refused on purpose."""


def is_server_failure(error: Exception) -> bool:
    """Whether a read that ended so may well succeed on another server: the connection broke, or the server stops, has no room, or
    its storage fails."""
    if isinstance(error, MeshError):
        return error.kind is DATA_SOURCE_LOST
    return isinstance(error, ShardError) and error.number in FAILED_READS


def is_unhealthy(error: Exception | None) -> bool:
    """Whether how a call ended (None: well) says that a data source does badly."""
    if isinstance(error, MeshError):
        return error.kind.unhealthy
    return isinstance(error, ShardError) and error.number in UNHEALTHY


def not_supported(what: str, instead: str) -> MeshError:
    """The refusal of promise 1: `what` is not supported, `instead` tells the user what to do."""
    return MeshError(NOT_SUPPORTED, what=what, instead=instead)
