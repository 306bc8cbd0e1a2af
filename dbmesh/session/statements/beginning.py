"""How a transaction begins that a client has not said more of.

Decides that the hint TRANSACTION_TYPE of a command says how it commits, else what the session has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import WRONG_VALUE, MeshError
from dbmesh.planner.session_values import TRANSACTION_TYPE
from dbmesh.rules.ruleset import TransactionType
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.statement import Statement

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def type_named(name: str) -> TransactionType:
    """The type of transactions that is called so. Raises MeshError."""
    try:
        return TransactionType(name)
    except ValueError:
        raise MeshError(WRONG_VALUE, name=TRANSACTION_TYPE, value=name) from None


def begin_hinted(session: Session, characteristics: str) -> None:
    """Begin a transaction, which commits as the hint TRANSACTION_TYPE of the command says, else as the session's do.
    Raises MeshError."""
    text = session.command_text
    kind: TransactionType | None = None
    if b"HINT:" in text.upper():
        read = fingerprint(text.decode("utf-8", "surrogateescape"), session.lexer_flags)
        hint = Statement(read.shape, session.lexer_flags).hints.transaction_type
        kind = None if hint is None else type_named(hint)
    session.transaction.begin(characteristics)
    if kind is not None:
        session.use_transaction_type(kind, once=True)
