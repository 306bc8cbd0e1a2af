"""What a session answers about itself to whoever plans or shows its statements.

Decides nothing: it reads what the session has. Knows no statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.warnings import ShardWarning, count_of
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.rules.accounts import AccountName
from dbmesh.rules.grant_text import quoted
from dbmesh.rules.privileges import Privileges
from dbmesh.session.reading import client_encoding
from dbmesh.session.writing_modes import WritingModes
from dbmesh.sql.lexer import DEFAULT, LexerFlags

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database


class Answers(WritingModes):
    """The part of `SessionView` that is only looked up."""

    __slots__ = ()

    user_name: str
    host: str
    account: str
    privileges: Privileges
    roles: frozenset[AccountName]
    database: str | None
    databases: Mapping[str, Database]
    warnings: Sequence[ShardWarning]
    lexer_flags: LexerFlags

    @property
    def user(self) -> str:
        """USER(): the name and host the client came with."""
        return f"{self.user_name}@{self.host}"

    @property
    def current_user(self) -> str:
        """CURRENT_USER(): the account that matched."""
        return self.account

    @property
    def current_role(self) -> str | None:
        """CURRENT_ROLE(): the active roles; MariaDB says NULL for none, MySQL NONE."""
        roles = sorted(self.roles)
        if self.mesh.product is Product.MYSQL:
            return ",".join(f"{quoted(role.name)}@{quoted(role.host)}" for role in roles) or "NONE"
        return ",".join(role.name for role in roles) or None

    @property
    def administrator(self) -> bool:
        """Whether the account may see and end others' sessions."""
        return self.privileges.administrator

    @property
    def logic_database(self) -> str | None:
        """The chosen logic database, which names without a database are of. None when none was chosen, or a system schema:
        its tables are named in full."""
        return None if self.database in SYSTEM_SCHEMAS else self.database

    @property
    def warning_count(self) -> int:
        """What @@warning_count answers: all that the last statement gave, listed or not."""
        return count_of(self.warnings)

    @property
    def error_count(self) -> int:
        """What @@error_count answers."""
        return sum(warning.level == "Error" for warning in self.warnings)

    def find_database(self, name: str) -> Database | None:
        """A logic database as this session sees it, its name compared without case."""
        return self.databases.get(name.lower())

    def encoding(self) -> str:
        """How the client's character set is read in Python; Latin-1 stands in for sets Python does not know, because
        it keeps every byte."""
        flags = self.lexer_flags
        return "utf-8" if flags is DEFAULT else client_encoding(flags)
