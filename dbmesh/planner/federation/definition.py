"""SHOW CREATE TABLE to CREATE TEMPORARY TABLE: the same columns, collations and keys for the rows of a scan.

Decides what of a definition changes what a client sees (types, NOT NULL, defaults, keys, character sets: all of it shows
in column definitions) and leaves out what only matters to writers or cannot be temporary: foreign keys, CHECKs,
partitions, generated expressions, versions, full-text and spatial indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbmesh.planner.template import quote_name

_NAME = re.compile(r"\s*`((?:[^`]|``)*)`\s*(.*)", re.DOTALL)
_KEY = re.compile(
    r"\s*(PRIMARY KEY|UNIQUE KEY|UNIQUE INDEX|UNIQUE|KEY|INDEX)\s*(?:`(?:[^`]|``)*`)?\s*(?:USING \w+\s*)?(\(.*)",
    re.DOTALL,
)
_GENERATED = re.compile(r"\b(?:GENERATED ALWAYS )?AS \(|\bGENERATED ALWAYS AS ROW (?:START|END)")
_GENERATED_KIND = re.compile(r"\s*(?:VIRTUAL|STORED|PERSISTENT)\b")
_JSON_CHECK = re.compile(r"CHECK \(json_valid\(`(?:[^`]|``)*`\)\)")
_CHARSET = re.compile(r"\bDEFAULT CHARSET=(\w+)")
_COLLATE = re.compile(r"\bCOLLATE=(\w+)")
_KEY_COLUMN = re.compile(r"`((?:[^`]|``)*)`")


@dataclass(frozen=True, slots=True)
class ColumnText:
    """A column's name and its definition behind the name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key: `kind` (PRIMARY KEY, UNIQUE KEY, KEY), its column names, its column list as written."""

    kind: str
    columns: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """What a temporary twin of a table needs to know of it."""

    columns: tuple[ColumnText, ...]
    keys: tuple[KeyText, ...]
    options: str


def read_definition(create_table: str) -> TableDefinition:
    """The definition in the answer of SHOW CREATE TABLE. Raises ValueError when it is none (a view)."""
    opening = create_table.find("(")
    if not create_table.startswith("CREATE") or opening < 0 or " TABLE " not in create_table[:opening]:
        raise ValueError("not a table")
    columns: list[ColumnText] = []
    keys: list[KeyText] = []
    position = opening + 1
    for part, end in _parts(create_table, position):
        position = end
        named = _NAME.match(part)
        if named is not None:
            columns.append(ColumnText(_unquoted(named[1]), _column(named[2])))
            continue
        key = _KEY.match(part)
        if key is not None:
            keys += _key(key[1], key[2])
    tail = create_table[position:]
    options = ""
    charset, collate = _CHARSET.search(tail), _COLLATE.search(tail)
    if charset is not None:
        options += f" DEFAULT CHARSET={charset[1]}"
    if collate is not None:
        options += f" COLLATE={collate[1]}"
    return TableDefinition(tuple(columns), tuple(keys), options)


def temporary_table(definition: TableDefinition, name: str, loaded: Iterable[str]) -> str:
    """CREATE TEMPORARY TABLE for the `loaded` columns (any case): every key that holds one of them, and what else such a
    key needs. A unique key whose columns are not all loaded is left out: it would hold different rows equal."""
    wanted = {column.lower() for column in loaded}
    keys = [
        key
        for key in definition.keys
        if any(column.lower() in wanted for column in key.columns)
        and (key.kind == "KEY" or all(column.lower() in wanted for column in key.columns))
    ]
    present = wanted | {column.lower() for key in keys for column in key.columns}
    lines = [
        f"{quote_name(column.name, quoted=True)} {_fitting(column, keys, column.name.lower() in wanted)}"
        for column in definition.columns
        if column.name.lower() in present
    ]
    lines += [f"{key.kind} {key.text}" for key in keys]
    return f"CREATE TEMPORARY TABLE {name} ({', '.join(lines)}) ENGINE=InnoDB{definition.options}"


def _fitting(column: ColumnText, keys: Sequence[KeyText], is_loaded: bool) -> str:
    """A column may count by itself only where it leads a key; one that is not loaded may hold what is no JSON."""
    text = column.text
    if not any(key.columns[0].lower() == column.name.lower() for key in keys):
        text = re.sub(r"\s+AUTO_INCREMENT\b", "", text)
    return text if is_loaded else _JSON_CHECK.sub("", text).rstrip()


def _column(text: str) -> str:
    """The definition without generated expressions, references and CHECKs but the one that makes a column JSON."""
    # Constraints may follow in any order; strings and brackets are skipped whole.
    out: list[str] = []
    position = 0
    for start, end in _clauses(text):
        piece = text[start:end]
        out.append(text[position:start].rstrip())
        position = end
        if _JSON_CHECK.fullmatch(piece):
            out.append(f" {piece}")
    out.append(text[position:].rstrip())
    return "".join(out)


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    """Spans of `CHECK (…)` and of `[GENERATED ALWAYS] AS (…) [VIRTUAL | STORED]`."""
    position = 0
    while position < len(text):
        character = text[position]
        if character in "'`\"":
            position = _string_end(text, position)
            continue
        generated = _GENERATED.match(text, position)
        if generated is not None:
            end = generated.end()
            if text[end - 1] == "(":
                end = _bracket_end(text, end - 1)
            kept = _GENERATED_KIND.match(text, end)
            end = end if kept is None else kept.end()
            yield position, end
            position = end
        elif text.startswith("CHECK (", position):
            end = _bracket_end(text, position + 6)
            yield position, end
            position = end
        else:
            position += 1


def _key(kind: str, text: str) -> list[KeyText]:
    listed = text[: _bracket_end(text, 0)]
    names = tuple(_unquoted(name) for name in _KEY_COLUMN.findall(listed))
    functional = any(part.strip().startswith("(") for part, _ in _parts(listed, 1))
    if not names or functional or " PERIOD " in listed or "WITHOUT OVERLAPS" in listed:
        return []
    plain = "PRIMARY KEY" if kind == "PRIMARY KEY" else ("UNIQUE KEY" if kind.startswith("UNIQUE") else "KEY")
    return [KeyText(plain, names, listed)]


def _parts(text: str, position: int) -> Iterator[tuple[str, int]]:
    """The comma-separated parts behind an opening bracket, each with the end of what was read."""
    start = position
    while position < len(text):
        character = text[position]
        if character in "'`\"":
            position = _string_end(text, position)
        elif character == "(":
            position = _bracket_end(text, position)
        elif character in ",)":
            yield text[start:position], position + 1
            if character == ")":
                return
            position += 1
            start = position
        else:
            position += 1
    raise ValueError("a bracket is not closed")


def _bracket_end(text: str, position: int) -> int:
    """Behind the bracket that closes the one at `position`."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "'`\"":
            position = _string_end(text, position)
            continue
        depth += (character == "(") - (character == ")")
        position += 1
        if depth == 0:
            return position
    raise ValueError("a bracket is not closed")


def _string_end(text: str, position: int) -> int:
    """Behind the string or quoted name that begins at `position`."""
    quote = text[position]
    position += 1
    while position < len(text):
        if text[position] == "\\" and quote != "`":
            position += 2
            continue
        if text[position] == quote:
            if text[position + 1 : position + 2] != quote:
                return position + 1
            position += 1
        position += 1
    raise ValueError("a string is not closed")


def _unquoted(name: str) -> str:
    return name.replace("``", "`")
