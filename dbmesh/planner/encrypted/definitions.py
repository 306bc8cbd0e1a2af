"""CREATE TABLE and ALTER TABLE over encrypted columns: a logic column becomes the columns that keep it, in its place.

Decides the types of these columns, and that a definition says what the rules say: another type, a default or a key that servers could not
keep is refused. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.recipe import Rewriting
from dbmesh.planner.encrypted.references import unclear
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.table_definition import definition_items
from dbmesh.rules.encryption.logic_type import COLLATIONS, read_type
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable

_NAMES = (Kind.WORD, Kind.QUOTED)
_KEYS = frozenset(
    ("PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "PERIOD")
)
_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_LONGEST_VARCHAR = 4000
_TEXTS = ((65_535, "TEXT"), ((1 << 24) - 1, "MEDIUMTEXT"), ((1 << 32) - 1, "LONGTEXT"))
_WHOLE = frozenset(("CONVERT", "RENAME", "EXCHANGE", "ENCRYPTED", "ENCRYPTION"))


class DefinitionRewriter:
    """Rewrites one CREATE TABLE."""

    def __init__(self, context: PlanContext, table: EncryptedTable, rewriting: Rewriting) -> None:
        self._context = context
        self._table = table
        self._rewriting = rewriting

    def rewrite(self, reader: LexemeReader) -> None:
        """The reader stands at the bracket before the definitions. Raises MeshError(NOT_SUPPORTED)."""
        if not reader.looks_at("("):
            raise unclear("CREATE TABLE of another form")
        found = set[str]()
        items = list(definition_items(reader))
        if any(one.word in ("SELECT", "AS", "LIKE") for one in reader.lexemes[reader.position :]):
            raise unclear("CREATE TABLE from a query")
        for item in items:
            column = self._table.by_name.get(item[0].value.lower()) if item[0].kind in _NAMES else None
            if item[0].word in _KEYS and item[0].kind is Kind.WORD:
                self._key(item)
            elif column is None:
                self._other(item)
            else:
                found.add(column.name)
                self._column(item, column)
        missing = [column.name for column in self._table.columns if column.name not in found]
        if missing:
            raise not_supported(
                f"a table '{self._table.name}' without its encrypted column '{missing[0]}'", "define it"
            )

    def _other(self, item: Sequence[Lexeme]) -> None:
        for lexeme in item:
            if (
                lexeme.kind in _NAMES
                and lexeme.value.lower() in self._table.by_name.keys() | self._table.hidden
            ):
                raise not_supported(
                    f"the encrypted column '{lexeme.value}' in the definition of another one", "leave it out"
                )

    def _column(self, item: Sequence[Lexeme], column: EncryptedColumn) -> None:
        end = _closing(item, 2) if len(item) > 2 and item[2].text == "(" else 1
        if len(item) < 2:
            raise unclear("a column without a type")
        if len(item) > end + 1 and item[end + 1].word == "UNSIGNED":
            end += 1
        declared = "".join(self._raw(item[1].start, item[end].end))
        kind = read_type(declared)
        if kind != column.type:
            raise not_supported(
                f"'{column.name}' as {declared.upper()}, which the rules call {column.type.declared.upper()}",
                "declare it as dataType says, or change dataType",
            )
        null, unique, comment = self._options(item[end + 1 :], column)
        definitions = [
            f"{quoted(self._context, name)} {stored}{null}{comment if place == 0 else ''}"
            for place, (name, stored) in enumerate(stored_columns(column))
        ]
        if unique:
            own = quoted(self._context, column.name)
            definitions.append(f"UNIQUE KEY {own} ({quoted(self._context, self._equality(column))})")
        if column.plain:
            self._rewriting.insert(item[-1].end, "".join(f", {one}" for one in definitions))
            return
        self._rewriting.replace(item[0].start, item[-1].end, ", ".join(definitions))

    def _raw(self, start: int, end: int) -> Iterator[str]:
        """A span with its literals in place."""
        position = start
        for slot in self._context.statement.slots_between(start, end):
            yield self._context.statement.text[position : slot.start]
            yield self._context.raw(slot)
            position = slot.end
        yield self._context.statement.text[position:end]

    def _options(self, words: Sequence[Lexeme], column: EncryptedColumn) -> tuple[str, bool, str]:
        """NOT NULL or nothing, whether UNIQUE, and the comment."""
        reader = LexemeReader(self._context.statement.readable, words)
        null, unique, comment = "", False, ""
        while not reader.at_end:
            if reader.accept("NOT", "NULL"):
                null = " NOT NULL"
            elif reader.accept("DEFAULT", "NULL") or reader.accept("NULL"):
                continue
            elif reader.accept("UNIQUE", "KEY") or reader.accept("UNIQUE"):
                unique = True
            elif reader.accept("COMMENT"):
                lexeme = reader.take()
                comment = " COMMENT " + "".join(self._raw(lexeme.start, lexeme.end))
            elif reader.accept("COLLATE"):
                if reader.take().value.lower() not in COLLATIONS:
                    raise not_supported(
                        f"a collation of the encrypted column '{column.name}'",
                        f"leave it out: it compares as under {' or '.join(COLLATIONS)}",
                    )
            elif reader.peek().text.upper() in ("CHARACTER", "CHARSET") and self._is_utf8(reader):
                continue
            else:
                raise not_supported(
                    f"{reader.peek().text.upper()} of the encrypted column '{column.name}'",
                    "use NULL, NOT NULL, UNIQUE and COMMENT only",
                )
        return null, unique, comment

    def _is_utf8(self, reader: LexemeReader) -> bool:
        words = 2 if reader.looks_at("CHARACTER", "SET") else 1
        if reader.peek(words).value.lower() != "utf8mb4":
            return False
        reader.position += words + 1
        return True

    def _key(self, item: Sequence[Lexeme]) -> None:
        if not any(one.kind in _NAMES and one.value.lower() in self._table.by_name for one in item):
            self._other(item)
            return
        words = {one.word for one in item}
        if words & {"FOREIGN", "CHECK", "FULLTEXT", "SPATIAL", "PERIOD"}:
            raise unclear("this key or constraint")
        opening = next(at for at, one in enumerate(item) if one.text == "(")
        first = self._table.by_name.get(item[opening + 1].value.lower())
        unnamed = item[opening - 1].word in ("KEY", "INDEX", "UNIQUE") and "PRIMARY" not in words
        if first is not None and not first.plain and unnamed:
            # A server names a key without a name by its first column.
            self._rewriting.insert(item[opening].start, f"{quoted(self._context, first.name)} ")
        depth = 0
        for at, lexeme in enumerate(item):
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0) if lexeme.kind is Kind.MARK else 0
            column = self._table.by_name.get(lexeme.value.lower()) if lexeme.kind in _NAMES else None
            if column is None or column.plain or depth == 0:
                continue
            if item[at + 1].text not in (",", ")"):
                raise not_supported(
                    f"a part of '{column.name}', or its order, in a key", "use the whole column"
                )
            self._rewriting.replace(lexeme.start, lexeme.end, quoted(self._context, self._equality(column)))

    def _equality(self, column: EncryptedColumn) -> str:
        if column.equality is None:
            raise not_supported(
                f"a key of '{column.name}', whose cipher is different each time", "give it an assistedQuery"
            )
        return column.equality.name


def stored_columns(column: EncryptedColumn) -> list[tuple[str, str]]:
    """The columns that keep a logic column: names and types."""
    size = column.type.most_bytes
    found = [(column.cipher.name, f"{_fitting(column.cipher.encryptor.longest(size))} {_ASCII}")]
    if column.assisted is not None:
        found.append((column.assisted.name, f"{_fitting(column.assisted.encryptor.longest(size))} {_ASCII}"))
    if column.like is not None:
        kind = f"VARCHAR({2 * column.type.length})" if column.type.counts_characters else "LONGTEXT"
        found.append((column.like.name, f"{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
    return found


def check_alter(table: EncryptedTable, lexemes: Sequence[Lexeme]) -> None:
    """ALTER TABLE, CREATE INDEX and DROP INDEX pass where they name no encrypted column. Raises MeshError(NOT_SUPPORTED)."""
    names = table.by_name.keys() | table.hidden
    for lexeme in lexemes:
        if lexeme.word in _WHOLE or (lexeme.kind in _NAMES and lexeme.value.lower() in names):
            raise _refused(lexeme.text)


def _refused(what: str) -> MeshError:
    return not_supported(
        f"{what} in a change of a table with encrypted columns",
        "change the actual tables on the data sources, and the rules with them",
    )


def _fitting(length: int) -> str:
    if length <= _LONGEST_VARCHAR:
        return f"VARCHAR({length})"
    return next((name for most, name in _TEXTS if length <= most), "LONGTEXT")


def _closing(item: Sequence[Lexeme], at: int) -> int:
    """The closing bracket of the one at `at`."""
    depth = 0
    for place in range(at, len(item)):
        depth += {"(": 1, ")": -1}.get(item[place].text, 0)
        if depth == 0:
            return place
    return len(item) - 1
