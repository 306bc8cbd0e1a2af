"""Which functions are the servers' own, as far as sqlglot does not know them by a class of its own.

Decides by name alone (manuals: MySQL "Built-In Function and Operator Reference", MariaDB "Built-in Functions"). Left out are
those that change something (locks, sequences) or tell of one server. Any other name may be a stored function, which may do
anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.parsers.mysql import MySQLParser

from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.sql.stand_ins import DEFAULT_OF

_NATIVE = frozenset(
    [
        DEFAULT_OF,
        "ABS",
        "ACOS",
        "ADDDATE",
        "ADDTIME",
        "AES_DECRYPT",
        "AES_ENCRYPT",
        "ANY_VALUE",
        "ASCII",
        "ASIN",
        "ATAN",
        "ATAN2",
        "AVG",
        "BIN",
        "BIN_TO_UUID",
        "BIT_AND",
        "BIT_COUNT",
        "BIT_LENGTH",
        "BIT_OR",
        "BIT_XOR",
        "CEIL",
        "CEILING",
        "CHARSET",
        "CHAR_LENGTH",
        "CHARACTER_LENGTH",
        "CHR",
        "COALESCE",
        "COERCIBILITY",
        "COLLATION",
        "COLUMN_CHECK",
        "COLUMN_CREATE",
        "COLUMN_EXISTS",
        "COLUMN_GET",
        "COLUMN_JSON",
        "COLUMN_LIST",
        "COMPRESS",
        "CONCAT",
        "CONCAT_WS",
        "CONV",
        "CONVERT_TZ",
        "COS",
        "COT",
        "COUNT",
        "CRC32",
        "CRC32C",
        "CUME_DIST",
        "CURDATE",
        "CURTIME",
        "DATEDIFF",
        "DATE_ADD",
        "DATE_FORMAT",
        "DATE_SUB",
        "DAY",
        "DAYNAME",
        "DAYOFMONTH",
        "DAYOFWEEK",
        "DAYOFYEAR",
        "DECODE",
        "DECODE_ORACLE",
        "DEFAULT",
        "DEGREES",
        "DENSE_RANK",
        "DES_DECRYPT",
        "DES_ENCRYPT",
        "ELT",
        "ENCODE",
        "ENCRYPT",
        "EXP",
        "EXPORT_SET",
        "EXTRACT",
        "EXTRACTVALUE",
        "FIELD",
        "FIND_IN_SET",
        "FIRST_VALUE",
        "FLOOR",
        "FORMAT",
        "FORMAT_BYTES",
        "FROM_BASE64",
        "FROM_DAYS",
        "FROM_UNIXTIME",
        "GEOMETRYFROMTEXT",
        "GET_FORMAT",
        "GREATEST",
        "GROUPING",
        "GROUP_CONCAT",
        "GTID_SUBSET",
        "GTID_SUBTRACT",
        "HEX",
        "HOUR",
        "IF",
        "IFNULL",
        "INET6_ATON",
        "INET6_NTOA",
        "INET_ATON",
        "INET_NTOA",
        "INSERT",
        "INSTR",
        "INTERVAL",
        "ISNULL",
        "IS_IPV4",
        "IS_IPV4_COMPAT",
        "IS_IPV4_MAPPED",
        "IS_IPV6",
        "IS_UUID",
        "JSON_ARRAY",
        "JSON_ARRAYAGG",
        "JSON_ARRAY_APPEND",
        "JSON_ARRAY_INSERT",
        "JSON_COMPACT",
        "JSON_CONTAINS",
        "JSON_CONTAINS_PATH",
        "JSON_DEPTH",
        "JSON_DETAILED",
        "JSON_EQUALS",
        "JSON_EXISTS",
        "JSON_EXTRACT",
        "JSON_INSERT",
        "JSON_KEYS",
        "JSON_LENGTH",
        "JSON_LOOSE",
        "JSON_MERGE",
        "JSON_MERGE_PATCH",
        "JSON_MERGE_PRESERVE",
        "JSON_NORMALIZE",
        "JSON_OBJECT",
        "JSON_OBJECTAGG",
        "JSON_OVERLAPS",
        "JSON_PRETTY",
        "JSON_QUERY",
        "JSON_QUOTE",
        "JSON_REMOVE",
        "JSON_REPLACE",
        "JSON_SCHEMA_VALID",
        "JSON_SEARCH",
        "JSON_SET",
        "JSON_STORAGE_FREE",
        "JSON_STORAGE_SIZE",
        "JSON_TABLE",
        "JSON_TYPE",
        "JSON_UNQUOTE",
        "JSON_VALID",
        "JSON_VALUE",
        "KDF",
        "LAG",
        "LAST_DAY",
        "LAST_VALUE",
        "LCASE",
        "LEAD",
        "LEAST",
        "LEFT",
        "LENGTH",
        "LENGTHB",
        "LN",
        "LOCATE",
        "LOG",
        "LOG10",
        "LOG2",
        "LOWER",
        "LPAD",
        "LTRIM",
        "LTRIM_ORACLE",
        "MAKEDATE",
        "MAKETIME",
        "MAKE_SET",
        "MAX",
        "MD5",
        "MEDIAN",
        "MICROSECOND",
        "MID",
        "MIN",
        "MINUTE",
        "MOD",
        "MONTH",
        "MONTHNAME",
        "NAME_CONST",
        "NATURAL_SORT_KEY",
        "NTH_VALUE",
        "NTILE",
        "NULLIF",
        "NVL",
        "NVL2",
        "OCT",
        "OCTET_LENGTH",
        "OLD_PASSWORD",
        "ORD",
        "PASSWORD",
        "PERCENTILE_CONT",
        "PERCENTILE_DISC",
        "PERCENT_RANK",
        "PERIOD_ADD",
        "PERIOD_DIFF",
        "PI",
        "POINT",
        "POSITION",
        "POW",
        "POWER",
        "QUARTER",
        "QUOTE",
        "RADIANS",
        "RAND",
        "RANDOM_BYTES",
        "RANK",
        "REGEXP_INSTR",
        "REGEXP_LIKE",
        "REGEXP_REPLACE",
        "REGEXP_SUBSTR",
        "REPEAT",
        "REPLACE",
        "REVERSE",
        "RIGHT",
        "ROUND",
        "ROW",
        "ROW_NUMBER",
        "RPAD",
        "RTRIM",
        "RTRIM_ORACLE",
        "SECOND",
        "SEC_TO_TIME",
        "SFORMAT",
        "SHA",
        "SHA1",
        "SHA2",
        "SIGN",
        "SIN",
        "SLEEP",
        "SOUNDEX",
        "SPACE",
        "SQRT",
        "STD",
        "STDDEV",
        "STDDEV_POP",
        "STDDEV_SAMP",
        "STRCMP",
        "STR_TO_DATE",
        "SUBDATE",
        "SUBSTR",
        "SUBSTRING",
        "SUBSTRING_INDEX",
        "SUBTIME",
        "SUM",
        "TAN",
        "TIMEDIFF",
        "TIMESTAMPADD",
        "TIMESTAMPDIFF",
        "TIME_FORMAT",
        "TIME_TO_SEC",
        "TO_BASE64",
        "TO_CHAR",
        "TO_DAYS",
        "TO_SECONDS",
        "TRIM",
        "TRIM_ORACLE",
        "TRUNCATE",
        "UCASE",
        "UNCOMPRESS",
        "UNCOMPRESSED_LENGTH",
        "UNHEX",
        "UNIX_TIMESTAMP",
        "UPDATEXML",
        "UPPER",
        "UTC_DATE",
        "UTC_TIME",
        "UTC_TIMESTAMP",
        "UUID",
        "UUID_TO_BIN",
        "VALIDATE_PASSWORD_STRENGTH",
        "VALUE",
        "VALUES",
        "VARIANCE",
        "VAR_POP",
        "VAR_SAMP",
        "WEEK",
        "WEEKDAY",
        "WEEKOFYEAR",
        "WEIGHT_STRING",
        "YEAR",
        "YEARWEEK",
    ]
)


_CHANGE_NO_ROWS = frozenset(
    [
        "BENCHMARK",
        "BINARY",
        "BINLOG_GTID_POS",
        "CONNECTION_ID",
        "CURRENT_ROLE",
        "CURRENT_USER",
        "DATABASE",
        "FOUND_ROWS",
        "GET_LOCK",
        "ICU_VERSION",
        "IS_FREE_LOCK",
        "IS_USED_LOCK",
        "LAST_INSERT_ID",
        "LOAD_FILE",
        "MASTER_GTID_WAIT",
        "MASTER_POS_WAIT",
        "NOW",
        "RELEASE_ALL_LOCKS",
        "RELEASE_LOCK",
        "ROWNUM",
        "ROW_COUNT",
        "SCHEMA",
        "SESSION_USER",
        "SYSDATE",
        "SYSTEM_USER",
        "USER",
        "UUID_SHORT",
        "VERSION",
        "WAIT_FOR_EXECUTED_GTID_SET",
    ]
)
"""Those left out that write to no table."""

_WAIT = frozenset(
    (
        "BENCHMARK",
        "MASTER_GTID_WAIT",
        "MASTER_POS_WAIT",
        "SLEEP",
        "SOURCE_POS_WAIT",
        "WAIT_FOR_EXECUTED_GTID_SET",
    )
)
"""Functions called for the time they take."""


def calls_others(tree: exp.Expr) -> bool:
    """Whether a statement calls a function that may not be a server's own, or that tells of one server. O(nodes)."""
    return any(not _is_among(function, _NATIVE) for function in _unknown(tree))


def waits(tree: exp.Expr) -> bool:
    """Whether a statement calls a function that only takes time. O(nodes)."""
    return any(_is_among(function, _WAIT) for function in _unknown(tree))


def calls_stored(tree: exp.Expr) -> bool:
    """Whether a statement calls a function that may write: a stored one, or one of a sequence. O(nodes)."""
    return any(True for _ in stored_calls(tree))


def stored_calls(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The calls of functions that may be stored ones, or of sequences. O(nodes)."""
    return (function for function in _unknown(tree) if not _is_among(function, _NATIVE | _CHANGE_NO_ROWS))


def _unknown(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The functions sqlglot has no class for; optimizer hints are none."""
    calls = tree.find_all(exp.Anonymous, exp.AnonymousAggFunc)
    return (call for call in calls if not isinstance(call.parent, exp.Hint))


def _is_among(function: exp.Expr, names: frozenset[str]) -> bool:
    name = function.name.upper()
    return not isinstance(function.parent, exp.Dot) and (name in names or name.startswith("ST_"))


_SYNTAX = frozenset(
    ("AND", "ANY", "CASE", "CAST", "CHAR", "COLLATE", "COLUMNS", "CONVERT", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP",
     "DATE", "DEFAULT", "EXISTS", "FIRST", "LAST", "LIKE", "LOCALTIME", "LOCALTIMESTAMP", "MATCH", "NEGATIVE", "OR", "TIME", "TIMESTAMP", "XOR")
)  # fmt: skip
"""Names before a bracket that servers read as syntax, or as functions of their own."""
_BEFORE_BRACKETS = frozenset(
    ("ALL", "AS", "BETWEEN", "BY", "DISTINCT", "DIV", "ELSE", "EXCEPT", "FROM", "HAVING", "IN", "INDEX", "INTERSECT", "INTERVAL",
     "INTO", "IS", "JOIN", "KEY", "LATERAL", "LIMIT", "LINES", "NOT", "OFFSET", "ON", "OVER", "ROW", "ROWS", "SELECT", "SET",
     "SOME", "THEN", "UNION", "USING", "VALUE", "VALUES", "WHEN", "WHERE", "WITH")
)  # fmt: skip
"""Words before a bracket that is no call's."""
_KNOWN_TO_PARSER = frozenset(MySQLParser.FUNCTIONS) | frozenset(MySQLParser.FUNCTION_PARSERS)


def may_call_stored(tree: exp.Expr | None, lexemes: Sequence[Lexeme]) -> bool:
    """Whether a statement may call a stored function, also one with the name of a function that other databases have and
    the parser knows. Without a tree any name before a bracket counts that may be one. O(length)."""
    if tree is not None and (calls_stored(tree) or _qualified_calls(tree)):
        return True
    for lexeme, following in pairwise(lexemes):
        if (
            following.text != "("
            or following.kind is not Kind.MARK
            or lexeme.kind not in (Kind.WORD, Kind.QUOTED)
        ):
            continue
        name = lexeme.value.upper()
        if name in _NATIVE or name in _CHANGE_NO_ROWS or name in _SYNTAX or name.startswith("ST_"):
            continue
        if name in _KNOWN_TO_PARSER or (tree is None and name not in _BEFORE_BRACKETS):
            return True
    return False


def _qualified_calls(tree: exp.Expr) -> bool:
    return any(isinstance(dot.expression, exp.Func) for dot in tree.find_all(exp.Dot))
