"""A statement over tables with encrypted columns: planned as another one, as it is, or refused.

Decides by the kind of the statement. What is not known to leave ciphers alone is refused: a statement passes unseen only if it names no
such table. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from dbmesh.errors import INTERNAL, MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl import object_kind
from dbmesh.planner.ddl_reading import read_index_table, read_place
from dbmesh.planner.derived.insert_form import check_columns
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.encrypted.answer import Answer
from dbmesh.planner.encrypted.decryption import Decryption
from dbmesh.planner.encrypted.definitions import DefinitionRewriter, check_alter
from dbmesh.planner.encrypted.logic_schema import capacity, missing_columns, unfit_column
from dbmesh.planner.encrypted.plan import EncryptedPlan
from dbmesh.planner.encrypted.queries import QueryRewriter
from dbmesh.planner.encrypted.recipe import Recipe, Rewriting
from dbmesh.planner.encrypted.references import References, unclear
from dbmesh.planner.encrypted.writes import InsertRewriter, rewrite_update
from dbmesh.planner.insert_reading import InsertReading, as_insert, read_insert
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.masked.system import is_explained
from dbmesh.planner.plan import Call, Plan, ShardPlan
from dbmesh.planner.resolve import resolve
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.session_view import SessionValues
from dbmesh.planner.template import Frame
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.planner.write import parse_write
from dbmesh.rules.encryption.rule import EncryptedTable
from dbmesh.sql.fingerprint import Fingerprint
from dbmesh.sql.parse import parse

PlanLogic = Callable[[], Plan]
"""Plans the statement itself over the columns that clients see."""

PlanOther = Callable[[Fingerprint], tuple[Plan, frozenset[int] | None]]
"""Plans another text over the columns that are there: its plan, and the literals that it depends on."""

_EXPLAINED = frozenset(("SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "TABLE"))
_ROWS = frozenset(("INSERT", "REPLACE"))
_WHOLE = frozenset(
    ("DROP", "TRUNCATE", "LOCK", "ANALYZE", "OPTIMIZE", "CHECK", "CHECKSUM", "REPAIR", "FLUSH")
)
"""Statements that look at no column."""
_EXPLAINING = frozenset(("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "ANALYZE"))
_FREE = frozenset(
    (
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "KILL",
        "USE",
        "BEGIN",
        "START",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "UNLOCK",
        "XA",
        "GRANT",
        "REVOKE",
    )
)
"""Statements that name a table by chance, or none."""


def plan_encrypted(
    context: PlanContext, plan_other: PlanOther, plan_logic: PlanLogic
) -> tuple[Plan, frozenset[int] | None] | None:
    """The plan of a statement that names a table with encrypted columns, and the literals it depends on; None for all others. Raises
    MeshError."""
    tables = context.rule_set.encrypted
    if not tables:
        return None
    reader = LexemeReader(context.statement.readable)
    written = {one.value.lower() for one in reader.lexemes if one.kind in (Kind.WORD, Kind.QUOTED)}
    if written.isdisjoint(table.name.lower() for table in tables.values()):
        return None
    return _Statement(context, reader, plan_other, plan_logic).planned()


class _Statement:
    def __init__(
        self, context: PlanContext, reader: LexemeReader, plan_other: PlanOther, plan_logic: PlanLogic
    ) -> None:
        self._context = context
        self._reader = reader
        self._lexemes = reader.lexemes
        self._plan_other = plan_other
        self._plan_logic = plan_logic
        self._rewriting = Rewriting(context)
        self._lengths: dict[str, int] = {}

    def planned(self) -> tuple[Plan, frozenset[int] | None] | None:
        word = next((one.word for one in self._lexemes if one.text != "("), "")
        words = [one.word for one in self._lexemes]
        if word in _ROWS:
            return self._insert()
        if word in ("UPDATE", "DELETE") or (word == "WITH" and {"UPDATE", "DELETE"} & set(words)):
            return self._write(parse_write(self._context.statement.readable))
        if word in ("SELECT", "WITH"):
            return self._query(self._context.statement.tree)
        if word in _EXPLAINING:
            return self._explained() if is_explained(self._lexemes) else None
        if word in ("CREATE", "ALTER", "DROP") and not {
            "VIEW",
            "TRIGGER",
            "PROCEDURE",
            "FUNCTION",
            "EVENT",
        } & set(words):
            return self._definition(word)
        if word == "LOAD":
            if any(one.kind is Kind.USER_VARIABLE for one in self._lexemes):
                raise not_supported(
                    "LOAD DATA that reads into variables, for a table with encrypted columns",
                    "name its columns",
                )
            return None
        if word in _FREE or (word in _WHOLE and "SELECT" not in words):
            return None
        raise not_supported(
            f"{word} over a table with encrypted columns", "see docs/SECURITY.md, Encrypted columns"
        )

    # ------------------------------------------------------------------ kinds

    def _query(self, tree: exp.Expr) -> tuple[Plan, frozenset[int] | None] | None:
        context = self._context
        scopes = resolve(context, tree)
        references = References(context, scopes, tree)
        if not references.tables:
            return None
        if not isinstance(tree, exp.Query) or tree.args.get("into") is not None or "INTO" in self._words():
            raise not_supported(
                "SELECT … INTO over a table with encrypted columns, since servers keep what is read",
                "read the rows into the application",
            )
        self._check_tables(references)
        rewriter = QueryRewriter(context, references, self._rewriting, tree, self._lexemes)
        answer = rewriter.rewrite()
        self._check_names(references, tree, rewriter.known)
        return self._finish(answer)

    def _write(self, tree: exp.Expr) -> tuple[Plan, frozenset[int] | None] | None:
        context = self._context
        if not isinstance(tree, exp.Update | exp.Delete):
            raise not_supported("a write of this form over encrypted columns", "write one UPDATE or DELETE")
        scopes = resolve(context, tree)
        references = References(context, scopes, tree)
        if not references.tables:
            return None
        self._check_tables(references)
        known = set[int]()
        if isinstance(tree, exp.Update):
            handled, known = rewrite_update(context, tree, references, self._rewriting)
            references.columns[:] = [one for one in references.columns if id(one.node) not in handled]
        returning = tree.args.get("returning")
        if returning is not None and (
            returning.find(exp.Star) is not None
            or any(one.node.find_ancestor(exp.Returning) is returning for one in references.columns)
        ):
            raise not_supported("RETURNING of encrypted columns", "name other columns")
        rewriter = QueryRewriter(context, references, self._rewriting, tree, self._lexemes)
        rewriter.rewrite()
        self._check_names(references, tree, known | rewriter.known)
        return self._finish(Answer())

    def _explained(self) -> tuple[Plan, frozenset[int] | None] | None:
        """EXPLAIN and ANALYZE: of the statement that data sources get, in their words."""
        lexemes = self._lexemes
        start = next((one.start for one in lexemes[1:] if one.word in _EXPLAINED or one.text == "("), None)
        word = next((one.word for one in lexemes if one.start == start), "")
        if start is None or word in _ROWS or word == "TABLE":
            raise not_supported(
                "EXPLAIN of this statement over encrypted columns", "explain a SELECT, UPDATE or DELETE"
            )
        text = " " * start + self._context.statement.readable[start:]
        if word in ("UPDATE", "DELETE"):
            return self._write(parse_write(text))
        found = self._query(parse(text))
        if found is None or not isinstance(found[0], EncryptedPlan):
            return found
        return replace(found[0], decryption=Decryption(), patterns=()), found[1]

    def _insert(self) -> tuple[Plan, frozenset[int] | None] | None:
        context = self._context
        reading = read_insert(self._reader)
        name = reading.table
        key = context.rule_set.key(database_of(context, name.database, name.name), name.name)
        table = context.rule_set.encrypted.get(key)
        schema = context.catalog.table(key)
        if schema is not None and schema.temporary:
            table = None
        if any(one.word in ("SELECT", "TABLE", "WITH") for one in self._lexemes):
            if not reading.rows:
                return self._copy(reading, table, schema)
            raise not_supported(
                "a query in VALUES beside encrypted columns", "write INSERT … SELECT, or the values"
            )
        if table is None:
            return None
        if schema is None:
            raise not_supported(
                f"encrypted columns of '{table.name}', which is not known", "create the table first"
            )
        self._check_table(key, schema, table)
        rewriter = InsertRewriter(context, reading, self._lexemes, table, schema, self._rewriting)
        rewriter.rewrite()
        self._check_tail(table, rewriter.known, reading.columns_end, reading.tail)
        return self._finish(Answer())

    def _copy(
        self, reading: InsertReading, table: EncryptedTable | None, schema: TableSchema | None
    ) -> tuple[Plan, frozenset[int] | None] | None:
        """INSERT … SELECT: the query is one statement, its rows others, each planned like a client's. A value that was encrypted
        must not become one that is not."""
        context = self._context
        tree = parse(as_insert(context.statement.readable, self._lexemes))
        query = tree.expression if isinstance(tree, exp.Insert) else None
        scopes = resolve(context, tree)
        references = References(context, scopes, tree)
        if not references.tables:
            return None
        self._check_tables(references)
        names = reading.columns
        if table is not None and schema is not None and names is not None:
            check_columns(schema, names)
        if names is None and schema is not None:
            names = tuple(column.name for column in schema.visible_columns)
        outputs = references.lineage.outputs(query) if query is not None else None
        if outputs is None or names is None:
            raise not_supported(
                "INSERT … SELECT of this form beside encrypted columns", "write one SELECT with its columns"
            )
        for output, name in zip(outputs, names, strict=False):
            column = None if table is None else table.by_name.get(name.lower())
            if column is not None and column.plain:
                column = None
            if output.column is not None and column is None:
                raise not_supported(
                    f"INSERT … SELECT of the encrypted column '{output.name}' into '{name}', which is not encrypted",
                    "encrypt that column too, or leave it out",
                )
            computed = column is not None and output.column is None and not output.is_null
            if computed and references.lineage.is_written(output.items):
                raise not_supported(
                    f"a value for the encrypted column '{name}' in the query of INSERT … SELECT, which data sources would read",
                    "write it as INSERT … VALUES",
                )
        plan = self._plan_logic()
        if isinstance(plan, SessionStatement):
            raise unclear("this INSERT")
        steps = EncryptedPlan(plan, Recipe((), (), context.flags), Decryption(), (), plan, steps_only=True)
        return steps, context.pinned

    def _check_tail(self, table: EncryptedTable, known: set[int], columns_end: int, tail: int) -> None:
        """Names that nobody has followed, among the columns, in the rows and behind them."""
        names = {column.name.lower() for column in table.columns if not column.plain}
        for lexeme in self._lexemes:
            if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in known:
                continue
            if lexeme.value.lower() in table.hidden or (
                lexeme.value.lower() in names and lexeme.value.lower() != table.name.lower()
            ):
                raise not_supported(
                    f"the encrypted column '{lexeme.value}' in this place of an INSERT",
                    "give values, or VALUES(column)",
                )

    def _definition(self, word: str) -> tuple[Plan, frozenset[int] | None] | None:
        """CREATE, ALTER and DROP of tables and indexes."""
        context, reader = self._context, self._reader
        kind = object_kind(reader)
        if kind not in ("TABLE", "INDEX"):
            raise unclear(f"{word} {kind}")
        if kind == "INDEX":
            place = read_index_table(reader)
        else:
            if word == "DROP":
                return None
            while reader.take().word != "TABLE":
                continue
            if not reader.accept("IF", "NOT", "EXISTS"):
                reader.accept("IF", "EXISTS")
            place = read_place(reader)
        key = context.rule_set.key(database_of(context, place.database, place.name), place.name)
        table = context.rule_set.encrypted.get(key)
        if table is None:
            raise unclear(f"{word} {kind} that names a table with encrypted columns")
        if word == "CREATE" and kind == "TABLE":
            DefinitionRewriter(context, table, self._rewriting).rewrite(reader)
        else:
            check_alter(table, [one for one in self._lexemes if one.start >= place.end])
        text, recipe = self._rewriting.build()
        literals = recipe.literals(Call(context.all_literals, SessionValues()))
        plan, _ = self._plan_other(Fingerprint(text, literals))
        return _fixed(plan, Call(literals, SessionValues())), None

    # ------------------------------------------------------------------ what all have in common

    def _words(self) -> set[str]:
        return {one.word for one in self._lexemes}

    def _check_tables(self, references: References) -> None:
        for reference, table in references.tables:
            if reference.schema is None or not reference.schema.columns:
                raise not_supported(
                    f"encrypted columns of '{table.name}', whose columns are not known", "create the table"
                )
            self._check_table(reference.key, reference.schema, table)

    def _check_table(self, key: str, schema: TableSchema, table: EncryptedTable) -> None:
        stored = self._context.stored_catalog.table(key)
        missing = [] if stored is None else missing_columns(stored, table)
        for column in stored.columns if stored is not None else ():
            most = capacity(column)
            if most is not None:
                self._lengths[column.name.lower()] = most
        if missing:
            raise not_supported(
                f"the encrypted table '{table.name}', which has no column {', '.join(missing)}",
                "add it with ALTER TABLE on the data sources",
            )
        unfit = None if stored is None else unfit_column(stored, table)
        if unfit is not None:
            raise not_supported(
                f"encrypted values in the column '{unfit.name}' of type {unfit.declared_type.upper()}",
                "make it VARCHAR or TEXT on the data sources",
            )

    def _check_names(self, references: References, tree: exp.Expr, known: set[int]) -> None:
        places = set(known)
        for name in tree.find_all(exp.TableAlias, exp.Alias, exp.Table):
            own = name.this if isinstance(name, exp.TableAlias | exp.Table) else name.args.get("alias")
            listed = name.args.get("columns") or () if isinstance(name, exp.TableAlias) else ()
            places |= {
                int(one.meta["start"])
                for one in (own, *listed)
                if isinstance(one, exp.Identifier) and "start" in one.meta
            }
        references.check_names(self._lexemes, places | self._qualifiers())

    def _qualifiers(self) -> set[int]:
        """Names in front of a dot."""
        return {
            one.start
            for one, after in zip(self._lexemes, self._lexemes[1:], strict=False)
            if after.text == "." and after.kind is Kind.MARK
        }

    def _finish(self, answer: Answer) -> tuple[Plan, frozenset[int] | None] | None:
        context = self._context
        text, recipe = self._rewriting.build()
        recipe = replace(recipe, lengths=self._lengths)
        sample = Call(context.all_literals, SessionValues(), _Samples())
        plan, pinned = self._plan_other(Fingerprint(text, recipe.literals(sample)))
        if isinstance(plan, SessionStatement):
            raise MeshError(INTERNAL, reason="a statement over encrypted columns is none for data sources")
        if text == context.statement.text and not answer.columns and not plan.verb.changes_rows:
            # The same statement over the same columns.
            return plan, pinned
        decryption = Decryption(tuple(answer.columns), (), answer.hidden)
        logic = self._logic() if plan.verb.changes_rows else None
        names = {
            name: column.name
            for table in context.rule_set.encrypted.values()
            for column in table.columns
            for name in column.stored
        }
        made = EncryptedPlan(plan, recipe, decryption, tuple(answer.patterns), logic, names)
        depends = None if pinned is None else _pinned(recipe, pinned)
        return made, None if depends is None else depends | context.pinned

    def _logic(self) -> ShardPlan | None:
        try:
            plan = self._plan_logic()
        except MeshError:
            return None
        return None if isinstance(plan, SessionStatement) else plan


def _fixed(plan: Plan, call: Call) -> Plan:
    """A plan whose texts are of this call, for calls with the client's own literals."""
    if not isinstance(plan, TextPlan):
        raise unclear("this statement")
    shots = [
        TextShot(
            shot.data_source,
            Frame(_escaped(shot.frame.render(call.literals, call)), (), shot.frame.flags, False),
        )
        for shot in plan.shots
    ]
    return replace(plan, shots=tuple(shots))


def _escaped(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape").replace("%", "%%")


class _Samples(tuple[None, ...]):
    """Parameters that are not known yet: NULL stands for all."""

    __slots__ = ()

    def __getitem__(self, index: object) -> None:  # type: ignore[override]
        return None


def _pinned(recipe: Recipe, pinned: frozenset[int]) -> frozenset[int]:
    """The client's literals that a plan of the other text depends on."""
    return frozenset(index for place in pinned for index in recipe.literals_of(place))
