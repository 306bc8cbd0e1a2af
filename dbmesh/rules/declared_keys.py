"""Foreign keys that a client declared and no server has: parent and child rows are on different data nodes.

Decides their form and what becomes of them when tables and columns get other names or go. They are shown as one server would
show them; nobody enforces them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from dbmesh.rules.ruleset import DeclaredKey, DeclaredKeys, RuleSet


def with_declared(rule_set: RuleSet, declared: Iterable[DeclaredKeys]) -> RuleSet:
    """The next revision of a rule set, in which these tables have these keys and no others."""
    known = dict(rule_set.declared)
    for one in declared:
        if one.keys:
            known[one.table.lower()] = one
        else:
            known.pop(one.table.lower(), None)
    return replace(rule_set, revision=rule_set.revision + 1, declared=MappingProxyType(known))


def without_tables(rule_set: RuleSet, tables: Iterable[str]) -> tuple[DeclaredKeys, ...]:
    """What DROP TABLE changes: the tables' own keys go, those of others that point to them stay as they were declared."""
    return tuple(DeclaredKeys(table) for table in tables if table.lower() in rule_set.declared)


def with_tables_renamed(rule_set: RuleSet, names: Mapping[str, str]) -> tuple[DeclaredKeys, ...]:
    """What new names of tables change; `names` are old ones in lower case → new ones."""
    changed: dict[str, DeclaredKeys] = {}
    for table, one in rule_set.declared.items():
        name = names.get(table, one.table)
        keys = tuple(
            replace(
                key,
                name=_renamed_key(key.name, one.table, name),
                parent=key.parent if key.database else names.get(key.parent.lower(), key.parent),
            )
            for key in one.keys
        )
        following = DeclaredKeys(name, keys)
        if following != one:
            changed.setdefault(table, DeclaredKeys(one.table))
            changed[name.lower()] = following
    return tuple(changed.values())


def with_columns_renamed(
    rule_set: RuleSet, table: str, own: DeclaredKeys, names: Mapping[str, str]
) -> tuple[DeclaredKeys, ...]:
    """What new names of a table's columns change; `own` are the keys the table itself will have, under its old columns."""
    found: list[DeclaredKeys] = []
    for one in (own, *(other for key, other in rule_set.declared.items() if key != table.lower())):
        is_own = one is own
        keys = tuple(
            replace(
                key,
                columns=_renamed(key.columns, names) if is_own else key.columns,
                referenced=_renamed(key.referenced, names) if _refers(key, table) else key.referenced,
            )
            for key in one.keys
        )
        found.append(replace(one, keys=keys))
    return tuple(
        one for one in found if one != rule_set.declared.get(one.table.lower(), DeclaredKeys(one.table))
    )


def _renamed_key(name: str, table: str, following: str) -> str:
    """A name that a server gave begins with the table's."""
    beginning = f"{table}_ibfk_"
    automatic = name.lower().startswith(beginning.lower())
    return f"{following}_ibfk_{name[len(beginning) :]}" if automatic else name


def _refers(key: DeclaredKey, table: str) -> bool:
    return not key.database and key.parent.lower() == table.lower()


def _renamed(columns: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names.get(column.lower(), column) for column in columns)


def free_names(table: str, taken: Iterable[str]) -> Iterator[str]:
    """The names a server would give to keys that have none: behind the greatest number in use."""
    beginning = f"{table}_ibfk_".lower()
    numbers = [name[len(beginning) :] for name in taken if name.lower().startswith(beginning)]
    number = max((int(text) for text in numbers if text.isdecimal()), default=0)
    while True:
        number += 1
        yield f"{table}_ibfk_{number}"
