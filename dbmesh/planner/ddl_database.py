"""CREATE DATABASE and DROP DATABASE, read from the client's text.

Decides what is said. What a logic database is made of, the session's keeper decides.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.session_plan import CreateDatabase, DropDatabase


def plan_database(reader: LexemeReader) -> CreateDatabase | DropDatabase:
    """Reads CREATE DATABASE | SCHEMA [IF NOT EXISTS] name [options] and DROP DATABASE | SCHEMA [IF EXISTS] name.

    Raises MeshError: PARSE_ERROR, NOT_SUPPORTED.
    """
    if reader.accept("DROP"):
        reader.accept_any("DATABASE", "SCHEMA")
        if_exists = reader.accept("IF", "EXISTS")
        name = reader.expect_name().value
        reader.expect_end()
        return DropDatabase(name, if_exists)
    reader.expect("CREATE")
    if reader.accept("OR", "REPLACE"):
        raise not_supported("CREATE OR REPLACE DATABASE", "drop the database, then create it")
    if reader.accept_any("DATABASE", "SCHEMA") is None:
        raise reader.error()
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.expect_name().value
    return CreateDatabase(name, reader.rest(), if_not_exists)
