"""ShardingSphere's DistSQL, as far as it shows rules and the mesh or takes something out of service: from text to values.

Decides which forms there are. What they show is `distsql_rules`'s and the session's. Source: ShardingSphere 5.5, user manual, "DistSQL".
"""

from __future__ import annotations

from typing import Final

from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.session_plan import LocalRows, SessionStatement, ShowMesh, ShowRules, SwitchMember
from dbmesh.sql.parse import parse

NAMED, MAY_BE_NAMED, ALL = "named", "may be named", "all"
"""Whether a form says what it is about."""

RULES: Final[tuple[tuple[str, str], ...]] = (
    ("STORAGE UNITS", ALL),
    ("SHARDING TABLE RULES", ALL),
    ("SHARDING TABLE RULE", NAMED),
    ("SHARDING TABLE NODES", MAY_BE_NAMED),
    ("SHARDING TABLE REFERENCE RULES", ALL),
    ("SHARDING TABLE REFERENCE RULE", NAMED),
    ("SHARDING ALGORITHMS", ALL),
    ("SHARDING KEY GENERATORS", ALL),
    ("BROADCAST TABLE RULES", ALL),
    ("SINGLE TABLES", ALL),
    ("SINGLE TABLE", NAMED),
    ("DEFAULT SINGLE TABLE STORAGE UNIT", ALL),
    ("READWRITE_SPLITTING RULES", ALL),
    ("READWRITE_SPLITTING RULE", NAMED),
    ("STATUS FROM READWRITE_SPLITTING RULES", ALL),
    ("STATUS FROM READWRITE_SPLITTING RULE", NAMED),
    ("MASK RULES", ALL),
    ("MASK RULE", NAMED),
    ("ENCRYPT RULES", ALL),
    ("ENCRYPT TABLE RULE", NAMED),
    ("SHADOW RULES", ALL),
    ("LOGICAL TABLES", ALL),
    ("FULL LOGICAL TABLES", ALL),
)
"""What SHOW shows of the rules of one logic database."""

MESH: Final[tuple[tuple[str, str], ...]] = (
    ("COMPUTE NODES", ALL),
    ("COMPUTE NODE INFO", ALL),
    ("COMPUTE NODE MODE", ALL),
    ("DIST VARIABLES", ALL),
    ("DIST VARIABLE", ALL),
    ("TRANSACTION RULE", ALL),
    ("AUTHORITY RULE", ALL),
)
"""What SHOW shows of the mesh."""

CONFIGURATION: Final = "DATABASE CONFIGURATION"
"""What EXPORT shows."""

COUNTED: Final = (
    "SHARDING RULE",
    "BROADCAST RULE",
    "SINGLE RULE",
    "READWRITE_SPLITTING RULE",
    "MASK RULE",
    "ENCRYPT RULE",
    "SHADOW RULE",
)
"""What COUNT counts."""


def read_distsql(reader: LexemeReader) -> SessionStatement | None:
    """The statement, None where it is none of these. Raises MeshError(PARSE_ERROR)."""
    if reader.looks_at("SHOW"):
        return _read_show(reader)
    if reader.looks_at("COUNT"):
        return _read_count(reader)
    if reader.accept("EXPORT", "DATABASE", "CONFIGURATION"):
        database = reader.expect_name().value if reader.accept_any("FROM", "IN") else None
        reader.expect_end()
        return ShowMesh(CONFIGURATION, database=database)
    if reader.looks_at("ENABLE", "COMPUTE", "NODE") or reader.looks_at("DISABLE", "COMPUTE", "NODE"):
        on = reader.take().word == "ENABLE"
        reader.expect("COMPUTE", "NODE")
        return _switch(reader, on)
    if reader.looks_at("ALTER", "READWRITE_SPLITTING", "RULE"):
        reader.expect("ALTER", "READWRITE_SPLITTING", "RULE")
        group = reader.expect_name().value
        word = reader.accept_any("ENABLE", "DISABLE")
        if word is None:
            raise reader.error()
        name = reader.expect_name().value
        database = reader.expect_name().value if reader.accept_any("FROM", "IN") else None
        reader.expect_end()
        return SwitchMember(name, word == "ENABLE", group, database)
    if reader.looks_at("PARSE") or reader.looks_at("FORMAT"):
        return _read_parse(reader)
    return None


def _read_show(reader: LexemeReader) -> SessionStatement | None:
    for form, takes in (*RULES, *MESH):
        if not reader.accept("SHOW", *form.split()):
            continue
        of_mesh = (form, takes) in MESH
        name = None
        if takes == NAMED or (takes == MAY_BE_NAMED and not _at_clause(reader)):
            name = reader.expect_name().value
        database, pattern, usage = None, None, None
        while not reader.at_end:
            if not of_mesh and reader.accept_any("FROM", "IN"):
                database = reader.expect_name().value
            elif reader.accept("LIKE"):
                pattern = _text(reader)
            elif form == "STORAGE UNITS" and reader.accept("WHERE", "USAGE_COUNT", "="):
                usage = reader.expect_integer()
            elif form.startswith("DIST VARIABLE") and reader.accept("WHERE", "NAME", "="):
                name = reader.take().value
            else:
                raise reader.error()
        if of_mesh:
            return ShowMesh(form, name, pattern)
        return ShowRules(form, name, database, pattern, usage)
    return None


def _read_count(reader: LexemeReader) -> SessionStatement | None:
    for form in COUNTED:
        if reader.accept("COUNT", *form.split()):
            database = reader.expect_name().value if reader.accept_any("FROM", "IN") else None
            reader.expect_end()
            return ShowRules(f"COUNT {form}", database=database)
    return None


def _switch(reader: LexemeReader, on: bool) -> SessionStatement:
    """An id may be written with or without quotes, and has dashes."""
    if reader.at_end:
        raise reader.error()
    name = reader.rest()
    if reader.peek().kind is Kind.STRING:
        name = _text(reader)
        reader.expect_end()
    return SwitchMember(name, on)


def _read_parse(reader: LexemeReader) -> SessionStatement:
    """PARSE and FORMAT of a statement: what the parser makes of it. Nothing is planned."""
    parses = reader.take().word == "PARSE"
    text = reader.rest()
    if not text:
        raise reader.error()
    tree = parse(text)
    if parses:
        return LocalRows(
            ("parsed_statement", "parsed_statement_detail"), ((type(tree).__name__, repr(tree)),)
        )
    return LocalRows(("formatted_result",), ((tree.sql("mysql", pretty=True),),))


def _at_clause(reader: LexemeReader) -> bool:
    return reader.at_end or reader.peek().word in ("FROM", "IN", "LIKE")


def _text(reader: LexemeReader) -> str:
    if reader.peek().kind is not Kind.STRING:
        raise reader.error()
    return reader.take().value
