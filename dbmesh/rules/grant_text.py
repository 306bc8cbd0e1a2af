"""Grants as text: `SELECT, UPDATE (a, b)` on `shop.t_user`, and back as SHOW GRANTS tells them.

Decides spelling only. Who holds a grant is `rules.authority`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dbmesh.errors import GRANT_ELSEWHERE, WRONG_USAGE, MeshError, not_supported
from dbmesh.rules.account_statements import Items, Level
from dbmesh.rules.privileges import Grants, Privilege, Target, grant

_ITEM = re.compile(r"\s*([A-Za-z][A-Za-z ]*?)\s*(?:\(([^()]*)\))?\s*(?:,|$)")
_NAME = r"(?:`(?:[^`]|``)+`|[^`.\s]+)"
_ON = re.compile(rf"\s*({_NAME})\.({_NAME})\s*")
_ALL: Final = ("ALL", "ALL PRIVILEGES")
_BY_NAME: Final = {
    **{privilege.value: privilege for privilege in Privilege},
    "CREATE ROLE": Privilege.CREATE_USER,
    "DROP ROLE": Privilege.CREATE_USER,
}


def is_all(name: str) -> bool:
    """Whether this means every privilege there is on what it is granted on."""
    return " ".join(name.upper().split()) in _ALL


class GrantMistake(Exception):
    """A grant that cannot be read or given; the text says why."""


def privilege_named(name: str) -> Privilege:
    """The privilege MySQL calls so. Raises GrantMistake."""
    found = _BY_NAME.get(" ".join(name.upper().split()))
    if found is None:
        raise GrantMistake(f"there is no privilege '{name.strip()}'")
    return found


def read_grant(privileges: str, on: str) -> Grants:
    """Privileges, each with columns if it is for these alone, on `*.*`, `database.*` or `database.table`. Raises GrantMistake."""
    target = read_target(on)
    found: Grants = frozenset()
    position = 0
    while position < len(privileges):
        item = _ITEM.match(privileges, position)
        if item is None:
            raise GrantMistake(f"'{privileges[position:].strip()}' is no list of privileges")
        columns = None if item[2] is None else [_unquoted(name.strip()) for name in item[2].split(",")]
        found |= item_grants(item[1], columns, target)
        position = item.end()
    if not found and privileges.strip().upper() != "USAGE":
        raise GrantMistake("no privilege is written")
    return found


def item_grants(name: str, columns: Sequence[str] | None, target: Target) -> Grants:
    """One privilege by name, ALL or USAGE, on a target or on columns of it. Raises GrantMistake."""
    name = " ".join(name.upper().split())
    if name == "USAGE":
        return frozenset()
    privileges = target.all_privileges if name in _ALL else frozenset((privilege_named(name),))
    targets = [target]
    if columns is not None:
        if target.table is None or name in _ALL:
            raise GrantMistake(f"{name} cannot be granted on columns of that")
        targets = [target._replace(column=column.lower()) for column in columns]
    for one in targets:
        for privilege in privileges - one.grantable:
            raise GrantMistake(f"{privilege.value} cannot be granted on {written_target(one)}")
    return frozenset().union(*(grant(one, privileges) for one in targets))


def read_target(on: str) -> Target:
    """`*.*`, `database.*` or `database.table`. Raises GrantMistake."""
    found = _ON.fullmatch(on)
    if found is None or (found[1] == "*") > (found[2] == "*"):
        raise GrantMistake(f"'{on}' is none of *.*, database.* and database.table")
    if found[1] == "*":
        return Target()
    table = None if found[2] == "*" else _unquoted(found[2]).lower()
    database = _unquoted(found[1]).lower()
    return Target(database if table is None else plain_name(database), table)


def read_level(level: Level) -> Target:
    """What a statement's privileges are for; its database is named."""
    if level.database is None:
        return Target()
    database = level.database.lower()
    return Target(
        database if level.table is None else plain_name(database), level.table and level.table.lower()
    )


def granted_items(items: Items, target: Target) -> Grants:
    """The privileges a GRANT or REVOKE names. Raises MeshError as servers say it."""
    found: Grants = frozenset()
    for name, columns in items:
        try:
            if not is_all(name) and name.upper() != "USAGE":
                privilege_named(name)
        except GrantMistake:
            raise not_supported(
                f"the privilege {name}", "grant those that docs/CONFIGURATION.md lists under Grants"
            ) from None
        try:
            found |= item_grants(name, columns, target)
        except GrantMistake:
            if target.database is not None and target.table is None and columns is None:
                raise MeshError(WRONG_USAGE, one="DB GRANT", other="GLOBAL PRIVILEGES") from None
            raise MeshError(GRANT_ELSEWHERE) from None
    return found


def plain_name(pattern: str) -> str:
    """A database's name as a grant on one of its tables writes it: `\\_` is `_`."""
    return re.sub(r"\\([%_])", r"\1", pattern)


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name[:1] == "`" else name


# ---------------------------------------------------------------------------------------------- as SHOW GRANTS


def written_grants(grants: Grants, to: str) -> Iterator[str]:
    """GRANT statements, as servers write them: first what holds everywhere."""
    targets = {target._replace(column=None) for target, _ in grants} | {Target()}
    for target in sorted(targets, key=lambda one: (one.database or "", one.table or "")):
        option = (target, Privilege.GRANT_OPTION) in grants
        texts = list(_written(grants, target))
        if not texts and target != Target() and not option:
            continue
        text = f"GRANT {', '.join(texts) or 'USAGE'} ON {written_target(target)} TO {to}"
        yield f"{text} WITH GRANT OPTION" if option else text


def _written(grants: Grants, target: Target) -> Iterator[str]:
    held = {privilege for one, privilege in grants if one == target} - {Privilege.GRANT_OPTION}
    if held >= target.all_privileges:
        yield "ALL PRIVILEGES"
        held -= target.all_privileges
    for privilege in Privilege:
        if privilege in held:
            yield privilege.value
        columns = sorted(
            one.column
            for one, other in grants
            if other is privilege and one.column is not None and one._replace(column=None) == target
        )
        if columns:
            yield f"{privilege.value} ({', '.join(map(quoted, columns))})"


def written_target(target: Target) -> str:
    """`*.*`, a database or a table, quoted."""
    if target.database is None:
        return "*.*"
    return f"{quoted(target.database)}.{'*' if target.table is None else quoted(target.table)}"


def quoted(name: str) -> str:
    """A name in back quotes."""
    return f"`{name.replace('`', '``')}`"
