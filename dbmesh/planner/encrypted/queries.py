"""SELECT over encrypted columns: which items of the answer are decrypted, and what `*` stands for.

Decides that encrypted values leave a statement only through its outermost SELECT, each in a column of its own. Conditions are
`conditions`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.conditions import Conditions, alike, is_known
from dbmesh.planner.encrypted.decryption import DecryptedColumn
from dbmesh.planner.encrypted.plan import PatternPlace
from dbmesh.planner.encrypted.recipe import Made, Part, Rewriting
from dbmesh.planner.encrypted.references import FoundColumn, References, key_flags, unclear
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.resolve import Scopes, TableReference, named
from dbmesh.planner.select_names import item_spans
from dbmesh.planner.subselects import is_aggregated, scope_of
from dbmesh.rules.encryption.rule import EncryptedColumn

_RANDOM = "a cipher that is different each time"


@dataclass(slots=True)
class Answer:
    """What the rewritten SELECT returns beside what the client asked for."""

    columns: list[DecryptedColumn] = field(default_factory=list)
    patterns: list[PatternPlace] = field(default_factory=list)
    hidden: int = 0


class QueryRewriter:
    """One query. `known` are the places of names that have been followed."""

    def __init__(
        self,
        context: PlanContext,
        scopes: Scopes,
        references: References,
        rewriting: Rewriting,
        tree: exp.Expr,
    ) -> None:
        self._context = context
        self._scopes = scopes
        self._references = references
        self._rewriting = rewriting
        self._tree = tree
        self._conditions = Conditions(context, references, rewriting)
        self.known: set[int] = set()

    def rewrite(self) -> Answer:
        """Raises MeshError(NOT_SUPPORTED)."""
        tree = self._tree
        answer = Answer()
        self.check_joins(tree)
        self._check_names_of_items(tree)
        items = self._outermost_items(answer) if isinstance(tree, exp.Select) else set[int]()
        for select in tree.find_all(exp.Select):
            if select is not tree:
                self._check_star(select)
        for select in tree.find_all(exp.Select):
            self._keep_names(select)
        likes: list[tuple[FoundColumn, exp.Expr]] = []
        for found in self._references.columns:
            if id(found.node) in items:
                continue
            parent = found.node.parent
            if isinstance(parent, exp.Like) and parent.this is found.node and is_known(parent):
                likes.append((found, parent))
                continue
            self.check_item(found)
            self._conditions.rewrite(found)
        if likes:
            self._check_rows(likes, answer)
        return answer

    def check_joins(self, tree: exp.Expr) -> None:
        """USING and NATURAL JOIN name columns that are no nodes of their own."""
        names = self._references.names
        for join in tree.find_all(exp.Join):
            using = {one.name.lower() for one in join.args.get("using") or ()}
            if using & names or (join.method and self._references.tables):
                raise not_supported(
                    "USING or NATURAL JOIN over encrypted columns", "write ON a.column = b.column"
                )

    def check_item(self, found: FoundColumn) -> None:
        """An encrypted column may not be an item of an inner query: what is made of it outside is not followed."""
        parent = found.node.parent
        parent = parent.parent if isinstance(parent, exp.Alias) else parent
        if isinstance(parent, exp.Select) and (
            found.node.arg_key == "expressions" or isinstance(found.node.parent, exp.Alias)
        ):
            raise not_supported(
                "an encrypted column as the result of a derived table, common table expression, subquery or UNION",
                "select it in the outermost SELECT",
            )

    # ------------------------------------------------------------------ items

    def _outermost_items(self, answer: Answer) -> set[int]:
        """Rewrites the items of the outermost SELECT; the ids of the columns that are items by themselves."""
        tree = self._tree
        assert isinstance(tree, exp.Select)
        stars = any(is_star(item) for item in tree.expressions)
        mine = {id(found.node): found for found in self._references.columns if scope_of(found.node) is tree}
        direct = {id(item.unalias()): item for item in tree.expressions if id(item.unalias()) in mine}
        if not direct and not (stars and any(True for _ in self._starred(tree))):
            return set()
        spans = item_spans(self._context, tree)
        if spans is None:
            raise unclear("this list of columns")
        place = 0
        for item, (start, end) in zip(tree.expressions, spans, strict=True):
            if isinstance(item, exp.Star) and item is not tree.expressions[0]:
                raise unclear("'*' behind other columns")
            if is_star(item):
                place += self._spell_out(item, start, end, place, answer)
                continue
            found = mine.get(id(item.unalias()))
            if found is not None:
                self._item(found, item, end, place, answer)
            place += 1
        self._check_shape(tree, answer)
        return set(direct)

    def _item(self, found: FoundColumn, item: exp.Expr, end: int, place: int, answer: Answer) -> None:
        name = self._context.statement.text[slice(*found.span)]
        self._rewriting.replace(*found.span, quoted(self._context, found.column.cipher.name))
        if not isinstance(item, exp.Alias):
            self._rewriting.insert(end, f" AS {name}")
        answer.columns.append(_decrypted(place, found.column, found.reference))

    def _starred(self, tree: exp.Select) -> list[TableReference]:
        return [
            reference for reference in self._scopes.of(tree) if self._references.table(reference) is not None
        ]

    def _spell_out(self, item: exp.Expr, start: int, end: int, place: int, answer: Answer) -> int:
        """`*` as the logic columns it means; how many these are."""
        tree = self._tree
        references = self._scopes.of(tree)
        if isinstance(item, exp.Column) and item.table:
            references = named(references, item.table, item.db)
        elif self._scopes.is_opaque(tree):
            raise not_supported("'*' over encrypted columns and a derived table", "write the columns")
        if not references or any(r.schema is None or not r.schema.columns for r in references):
            raise not_supported(
                "'*' over encrypted columns beside a table that is not known", "write the columns"
            )
        if any(join.method or join.args.get("using") for join in tree.args.get("joins") or ()):
            raise not_supported("'*' over encrypted columns with USING", "write the columns")
        pieces: list[str] = []
        for reference in references:
            table = self._references.table(reference)
            assert reference.schema is not None
            own = quoted(self._context, reference.alias)
            for schema in reference.schema.visible_columns:
                column = None if table is None else table.by_name.get(schema.name.lower())
                name = quoted(self._context, schema.name)
                if column is None or column.plain:
                    pieces.append(f"{own}.{name}")
                    continue
                answer.columns.append(_decrypted(place + len(pieces), column, reference))
                pieces.append(f"{own}.{quoted(self._context, column.cipher.name)} AS {name}")
        self._rewriting.replace(start, end, ", ".join(pieces))
        return len(pieces)

    def _check_star(self, select: exp.Select) -> None:
        """`*` of an inner query would show ciphers, but for EXISTS, which looks at no column."""
        if isinstance(select.parent, exp.Exists) or not any(map(is_star, select.expressions)):
            return
        if self._starred(select):
            raise not_supported("'*' over encrypted columns in an inner query", "write the columns")

    def _check_names_of_items(self, tree: exp.Expr) -> None:
        """ORDER BY, GROUP BY and HAVING may name an item instead of a column."""
        for select in tree.find_all(exp.Select):
            names = {
                item.alias.lower()
                for item in select.expressions
                if isinstance(item, exp.Alias) and self._is_encrypted(item.this)
            }
            shown = names | {item.name.lower() for item in select.expressions if self._is_encrypted(item)}
            if not shown and not (any(map(is_star, select.expressions)) and self._starred(select)):
                continue
            for clause in ("order", "group", "having"):
                part = select.args.get(clause)
                if part is None:
                    continue
                for column in part.find_all(exp.Column):
                    if not column.table and column.name.lower() in names:
                        raise unclear(f"{clause.upper()} by the name of an item")
                if clause != "having" and any(isinstance(one, exp.Literal) for one in _terms(part)):
                    raise not_supported(
                        "ORDER BY or GROUP BY with the number of an item beside encrypted columns",
                        "name the column",
                    )

    def _keep_names(self, select: exp.Select) -> None:
        """An item without a name is named by its text, which is another one now."""
        mine = {id(found.node) for found in self._references.columns}
        inside = [
            item
            for item in select.expressions
            if not isinstance(item, exp.Alias | exp.Column) and any(id(one) in mine for one in item.walk())
        ]
        if not inside or isinstance(select.parent, exp.Exists):
            return
        spans = item_spans(self._context, select)
        if spans is None:
            raise unclear("this list of columns")
        for item, (start, end) in zip(select.expressions, spans, strict=True):
            if item not in inside:
                continue
            if self._context.statement.slots_between(start, end):
                raise not_supported(
                    "an item without a name that compares an encrypted column", "name it with AS"
                )
            text = self._context.statement.text[start:end]
            self._rewriting.insert(end, f" AS {quoted(self._context, text)}")

    def _is_encrypted(self, node: exp.Expr) -> bool:
        return any(found.node is node for found in self._references.columns)

    def _check_shape(self, tree: exp.Select, answer: Answer) -> None:
        """What the SELECT as a whole does with the values of its items."""
        if not answer.columns:
            return
        random = [one.column.name for one in answer.columns if one.column.cipher.encryptor.nonce_size]
        grouped = tree.args.get("group") is not None
        if tree.args.get("distinct") is not None:
            for one in answer.columns:
                if one.column.cipher.encryptor.nonce_size:
                    raise not_supported(
                        f"DISTINCT over '{one.column.name}', which has {_RANDOM}", "use a cipher of type AES"
                    )
                if one.column.assisted is None:
                    alike(one.column, "DISTINCT")
                elif len(one.column.cipher.encryptor.forms("0")) > 1:
                    raise not_supported("DISTINCT while there are several keys", "rotate to one key")
        keys = {
            found.column.name
            for found in self._references.columns
            if isinstance(found.node.parent, exp.Group)
        }
        for one in answer.columns:
            if grouped and one.column.name in keys and one.column.equality is not one.column.cipher:
                raise not_supported(
                    f"GROUP BY '{one.column.name}', which is an item too and is not compared by its cipher",
                    "count without selecting it, or use a cipher of type AES without assistedQuery",
                )
        if random and is_aggregated(tree) and not grouped:
            raise unclear("aggregates without GROUP BY")

    # ------------------------------------------------------------------ LIKE

    def _check_rows(self, likes: list[tuple[FoundColumn, exp.Expr]], answer: Answer) -> None:
        """The digest finds more rows than LIKE: each is looked at when it is decrypted, so every row must arrive."""
        tree = self._tree
        plain = isinstance(tree, exp.Select) and not is_aggregated(tree)
        if not plain or any(tree.args.get(name) for name in ("distinct", "limit", "offset", "into")):
            raise not_supported(
                "LIKE on an encrypted column beside LIMIT, DISTINCT, GROUP BY, aggregates or in a write",
                "let the query return the rows themselves, and count or cut them in the application",
            )
        if tree.find(exp.Window, exp.PropertyEQ, exp.NextValueFor, exp.Anonymous) is not None:
            raise not_supported(
                "LIKE on an encrypted column beside window functions, assignments, sequences or functions with a name of their own",
                "select plain columns, and compute with them in the application",
            )
        if "SQL_CALC_FOUND_ROWS" in self._context.statement.text.upper():
            raise unclear("SQL_CALC_FOUND_ROWS with LIKE")
        end = _end_of_items(self._context, tree)
        for found, like in likes:
            column = found.column
            if column.like is None:
                raise not_supported(
                    f"LIKE on the encrypted column '{column.name}'", "give the column a likeQuery"
                )
            if like.args.get("negate") or scope_of(found.node) is not tree or not _is_certain(like, tree):
                raise not_supported(
                    "LIKE on an encrypted column that is not a condition of the outermost WHERE by itself, joined by AND",
                    "take it out of OR, NOT, ON and subqueries",
                )
            slot = self._context.statement.slot(like.expression)
            if slot is None or self._context.flags.no_backslash_escapes:
                raise not_supported(
                    "LIKE with anything but a text on an encrypted column", "write the pattern itself"
                )
            answer.hidden += 1
            qualifier = quoted(self._context, found.reference.alias)
            self._rewriting.insert(end, f", {qualifier}.{quoted(self._context, column.cipher.name)}")
            answer.columns.append(DecryptedColumn(-answer.hidden, column))
            answer.patterns.append(PatternPlace(-answer.hidden, slot, negated=False))
            self._rewriting.replace(*found.span, quoted(self._context, column.like.name))
            self._rewriting.replace(slot.start, slot.end, Made(slot, column, Part.PATTERN))
        # Those at the end count from there, the last one first.
        self._renumber(answer)

    def _renumber(self, answer: Answer) -> None:
        hidden = answer.hidden
        answer.columns = [
            DecryptedColumn(-(hidden + 1 + one.place), one.column, one.keys) if one.place < 0 else one
            for one in answer.columns
        ]
        answer.patterns = [
            PatternPlace(-(hidden + 1 + one.place), one.slot, one.negated) for one in answer.patterns
        ]


def _is_certain(like: exp.Expr, tree: exp.Expr) -> bool:
    """Whether a condition holds for every row of a SELECT."""
    node = like.parent
    while isinstance(node, exp.And | exp.Paren):
        node = node.parent
    return isinstance(node, exp.Where) and node.parent is tree


def _end_of_items(context: PlanContext, tree: exp.Expr) -> int:
    spans = item_spans(context, tree) if isinstance(tree, exp.Select) else None
    if not spans:
        raise unclear("this list of columns")
    return spans[-1][1]


def is_star(item: exp.Expr) -> bool:
    """Whether an item is `*` or `t.*`."""
    return isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star))


def _terms(part: exp.Expr) -> list[exp.Expr]:
    return [one.this if isinstance(one, exp.Ordered) else one for one in part.expressions]


def _decrypted(place: int, column: EncryptedColumn, reference: TableReference) -> DecryptedColumn:
    return DecryptedColumn(place, column, key_flags(reference.schema, column.name))
