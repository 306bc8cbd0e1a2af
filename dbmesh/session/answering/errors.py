"""Errors as the client sees them: packets, with actual names turned back into logic names.

Decides texts only. Which error is raised when is everyone else's business.
"""

from __future__ import annotations

import re

from dbmesh.errors import INTERNAL, MeshError, ShardError
from dbmesh.model import VIEW_PREFIX
from dbmesh.planner.plan import Names
from dbmesh.planner.template import quote_name
from dbmesh.wire.packets import ErrPacket


def as_packet(error: Exception) -> ErrPacket:
    """The error packet of an exception. Anything that is not an error of the table or of a shard is our own fault."""
    if not isinstance(error, (MeshError, ShardError)):
        error = MeshError(INTERNAL, reason=type(error).__name__)
    return ErrPacket(error.number, error.sqlstate, str(error).encode("utf-8", "surrogateescape"))


def logic_error(error: ShardError, names: Names, schema: str) -> ShardError:
    """A shard's error in logic names. `schema` is the data source's own schema. O(names that occur in the text)."""
    return ShardError(error.number, error.sqlstate, logic_text(error.message, names, schema))


def logic_text(text: str, names: Names, schema: str) -> str:
    """A shard's text with actual table names and the data source's schema replaced by the logic ones."""
    if VIEW_PREFIX in text:
        text = re.sub(rf"(?<![\w$]){VIEW_PREFIX}", "", text)
    for actual, logic in names.tables.items():
        if actual != logic and actual in text:
            text = re.sub(rf"(?<![\w$]){re.escape(actual)}(?![\w$])", _escaped(logic), text)
        if "`" in actual:
            text = text.replace(quote_name(actual, quoted=True), quote_name(logic, quoted=True))
    for actual, logic in (names.schemas or {schema: names.database}).items():
        if actual and actual != logic and actual in text:
            text = re.sub(rf"(?<![\w$]){re.escape(actual)}(?=[`'\"]?\.)", _escaped(logic), text)
    for actual, logic in names.columns.items():
        if actual in text:
            text = re.sub(rf"(?<=['`.]){re.escape(actual)}(?=['`])", _escaped(logic), text)
    return text


def _escaped(replacement: str) -> str:
    return replacement.replace("\\", r"\\")
