"""The admin port for MySQL clients: the tables as tables, and KILL.

Decides what a client can ask here: SELECTs over the tables of `tables`, whatever else they do with them, SHOW TABLES,
TRUNCATE of the statements, KILL of a mesh's session, DistSQL. The password is the token, the user's name is free. Its data never
comes from a data source.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from mysql_mimic import MysqlServer, Session
from mysql_mimic.auth import IdentityProvider, NativePasswordAuthPlugin, User
from mysql_mimic.connection import Connection
from mysql_mimic.constants import KillKind
from mysql_mimic.control import LocalControl, TooManyConnections
from mysql_mimic.errors import ErrorCode, MysqlError
from mysql_mimic.session import AllowedResult
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.executor import execute

from dbmesh.admin.actions import ForgetStatements, Kill, UnknownSession
from dbmesh.admin.http import ROWS_AT_ONCE
from dbmesh.admin.table import Operated, Table, Value
from dbmesh.admin.tables import TABLES, Statements
from dbmesh.errors import NO_DATABASE, UNKNOWN_DATABASE, MeshError, not_supported
from dbmesh.planner.distsql import CONFIGURATION, read_distsql
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.metadata import preview_rows, preview_text
from dbmesh.planner.plan import Call
from dbmesh.planner.session_plan import LocalRows, SessionStatement, ShowMesh, ShowRules, SwitchMember
from dbmesh.planner.session_view import SessionValues
from dbmesh.rules.keygen.auto_increment import KeysNeeded
from dbmesh.session.mesh import Database
from dbmesh.session.statements.distsql import mesh_of, rules_of, switch

SCHEMA = "stats"

MOST_CLIENTS = 32
"""Clients of this port at one time."""


class MySQLPort:
    """The port of one running mesh."""

    def __init__(self, token: str, operated: Operated) -> None:
        self._control = _Control(operated)
        self._server = MysqlServer(
            session_factory=lambda: _Session(operated),
            control=self._control,
            identity_provider=_Operators(token),
        )

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen; returns the port bound. Raises OSError."""
        self._server.ssl = tls
        await self._server.start_server(host=host, port=port)
        return int(self._server.sockets()[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every client."""
        self._server.close()
        await self._control.end_all()
        await self._server.wait_closed()


class _Operators(IdentityProvider):
    def __init__(self, token: str) -> None:
        self._plugin = NativePasswordAuthPlugin()
        self._hash = NativePasswordAuthPlugin.create_auth_string(token)

    def get_plugins(self) -> list[NativePasswordAuthPlugin]:
        return [self._plugin]

    async def get_user(self, username: str) -> User:
        return User(name=username, auth_string=self._hash, auth_plugin=self._plugin.name)


class _Control(LocalControl):
    """KILL means the mesh's sessions, not those of this port."""

    def __init__(self, operated: Operated) -> None:
        super().__init__()
        self._operated = operated
        self._empty = asyncio.Event()

    async def add(self, connection: Connection) -> int:
        if len(self._connections) >= MOST_CLIENTS:
            raise TooManyConnections
        return int(await super().add(connection))

    async def remove(self, connection_id: int) -> None:
        await super().remove(connection_id)
        if not self._connections:
            self._empty.set()

    async def end_all(self) -> None:
        """End every client of this port and wait until they are gone."""
        for connection in list(self._connections.values()):
            connection.kill()
        if self._connections:
            await self._empty.wait()

    async def kill(self, connection_id: int, kind: KillKind = KillKind.CONNECTION) -> None:
        try:
            Kill(connection_id, kind is KillKind.QUERY).perform(self._operated)
        except UnknownSession as error:
            raise MysqlError(str(error)) from error


class _Session(Session):
    def __init__(self, operated: Operated) -> None:
        super().__init__()
        self._operated = operated

    async def init(self, connection: Any) -> None:
        await super().init(connection)
        self.database: str | None = self.database or SCHEMA

    async def schema(self) -> dict[str, Any]:
        return {SCHEMA: {table.sql_name: dict(table.columns) for table in TABLES}}

    async def handle_query(self, sql: str, attrs: dict[str, str]) -> AllowedResult:
        try:
            found = await self._distsql(sql)
        except MeshError as error:
            raise MysqlError(str(error), ErrorCode.NOT_SUPPORTED_YET) from error
        return await super().handle_query(sql, attrs) if found is None else found

    async def _rows(self, table: Table) -> list[dict[str, Value]]:
        names = [name for name, _ in table.columns]
        rows: list[dict[str, Value]] = []
        for row in table.rows(self._operated):
            rows.append(dict(zip(names, row, strict=True)))
            if not len(rows) % ROWS_AT_ONCE:
                await asyncio.sleep(0)
        return rows

    def _logic_database(self, name: str | None) -> Database:
        """The one that is named, the chosen one, or the only one. Raises MeshError."""
        databases = self._operated.mesh.databases
        if name is None and (self.database or SCHEMA) != SCHEMA:
            name = self.database
        if name is None and len(databases) > 1:
            raise MeshError(NO_DATABASE)
        found = next(iter(databases.values())) if name is None else databases.get(name.lower())
        if found is None:
            raise MeshError(UNKNOWN_DATABASE, database=name)
        return found

    def _preview(self, text: str) -> LocalRows:
        """PREVIEW: what a statement of an administrator would send where. Raises MeshError."""
        database = self._logic_database(None)
        plan, literals = database.plans.lookup(text, database.name)
        if isinstance(plan, SessionStatement):
            return LocalRows(("data_source_name", "actual_sql"), ())
        values = SessionValues(database.name, "root@localhost", "root@%", 1)
        try:
            return preview_rows(plan.bind(Call(literals, values, key_generators=database.key_generators)))
        except KeysNeeded:
            raise not_supported(
                "PREVIEW of a statement that needs numbers which are not at hand",
                "write the values of the AUTO_INCREMENT column",
            ) from None

    async def _distsql(self, sql: str) -> AllowedResult:
        """The answer to a statement of DistSQL, None for any other. Raises MeshError."""
        mesh = self._operated.mesh
        text = sql.strip().removesuffix(";")
        previewed = preview_text(text)
        statement = read_distsql(LexemeReader(text)) if previewed is None else self._preview(previewed)
        if statement is None:
            return None
        if isinstance(statement, ShowMesh):
            chosen = (
                None if statement.form != CONFIGURATION else self._logic_database(statement.database).name
            )
            columns, rows = await mesh_of(mesh, statement, chosen)
        elif isinstance(statement, LocalRows):
            columns, rows = statement.columns, statement.rows
        elif isinstance(statement, (ShowRules, SwitchMember)):
            database = self._logic_database(statement.database)
            if isinstance(statement, SwitchMember):
                await switch(mesh, database, statement)
                return [], []
            columns, rows = rules_of(database, statement)
        else:
            return None
        return list(rows), list(columns)

    async def query(self, expression: exp.Expression, sql: str, attrs: dict[str, str]) -> AllowedResult:
        del attrs
        if isinstance(expression, exp.TruncateTable):
            if [table.name for table in expression.expressions] != [Statements.sql_name]:
                raise MysqlError(f"only {Statements.sql_name} can be truncated", ErrorCode.NOT_SUPPORTED_YET)
            ForgetStatements().perform(self._operated)
            return [], []
        if not isinstance(expression, exp.Query):
            raise MysqlError(f"this port has no such statement: {sql[:80]}", ErrorCode.NOT_SUPPORTED_YET)
        for table in expression.find_all(exp.Table):
            if table.db and table.db.lower() == SCHEMA:
                table.set("db", None)
        named = {table.name for table in expression.find_all(exp.Table)}
        tables = {table.sql_name: await self._rows(table) for table in TABLES if table.sql_name in named}
        schema = {table.sql_name: dict(table.columns) for table in TABLES}
        for one in expression.selects:
            if not isinstance(one, (exp.Alias, exp.Column, exp.Star)):
                one.replace(exp.alias_(one.copy(), one.sql("mysql"), quoted=True))
        try:
            # A join takes its time: the clients of the mesh need not wait for it.
            found = await asyncio.to_thread(
                execute, expression, schema=schema, dialect="mysql", tables=tables
            )
        except SqlglotError as error:
            raise MysqlError(str(error), ErrorCode.PARSE_ERROR) from error
        return found.rows, found.columns
