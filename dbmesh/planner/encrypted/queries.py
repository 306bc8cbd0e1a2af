"""A query over encrypted columns: which columns of the answer are decrypted, and what else the statement does with encrypted ones.

Decides that an encrypted column leaves an inner query only to whoever follows it: FROM, a common table expression, a UNION, an
item, a comparison. Conditions, joins, items and LIKE have modules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.answer import Answer
from dbmesh.planner.encrypted.conditions import Conditions, alike, is_known
from dbmesh.planner.encrypted.decryption import DecryptedColumn
from dbmesh.planner.encrypted.items import ItemRewriter
from dbmesh.planner.encrypted.joins import JoinRewriter
from dbmesh.planner.encrypted.likes import LikeRewriter, Likes
from dbmesh.planner.encrypted.lineage import Output, is_star, top_of
from dbmesh.planner.encrypted.recipe import Rewriting
from dbmesh.planner.encrypted.references import References, unclear
from dbmesh.planner.lexemes import Lexeme
from dbmesh.planner.subselects import is_aggregated, scope_of
from dbmesh.rules.encryption.rule import EncryptedColumn

_RANDOM = "a cipher that is different each time"


class QueryRewriter:
    """One query, or the queries and conditions of a write. `known` are the places of names that have been followed."""

    def __init__(
        self,
        context: PlanContext,
        references: References,
        rewriting: Rewriting,
        tree: exp.Expr,
        lexemes: Sequence[Lexeme],
    ) -> None:
        self._context = context
        self._references = references
        self._lineage = references.lineage
        self._rewriting = rewriting
        self._tree = tree
        self._lexemes = lexemes
        self.known: set[int] = set()

    def rewrite(self) -> Answer:
        """Raises MeshError: NOT_SUPPORTED, UNKNOWN_COLUMN, AMBIGUOUS_COLUMN."""
        tree = self._tree
        answer = Answer()
        joins = JoinRewriter(self._context, self._references, self._rewriting, self._lexemes)
        joins.rewrite(tree)
        self.known |= joins.known
        selects = list(tree.find_all(exp.Select))
        for select in selects:
            self._check_names_of_items(select)
        items = ItemRewriter(self._context, self._references, self._rewriting)
        likes = self._conditions(items.direct(selects))
        for select in selects:
            self._check_use(select)
            self._check_shape(select)
        for united in tree.find_all(exp.SetOperation):
            self._check_union(united)
        for select in selects:
            items.rewrite(select)
        if isinstance(tree, exp.Query):
            answer.columns += self._decrypted(tree)
        if likes:
            LikeRewriter(self._context, self._rewriting, tree).rewrite(likes, answer)
        return answer

    def _conditions(self, items: set[int]) -> Likes:
        """All uses but those of items; the LIKEs are left."""
        conditions = Conditions(self._context, self._references, self._rewriting)
        likes: Likes = []
        for found in self._references.columns:
            if id(found.node) in items:
                continue
            parent = found.node.parent
            if isinstance(parent, exp.Like) and parent.this is found.node and is_known(parent):
                likes.append((found, parent))
            else:
                conditions.rewrite(found)
        return likes

    def _decrypted(self, tree: exp.Expr) -> list[DecryptedColumn]:
        columns = []
        for place, one in enumerate(self._lineage.outputs(tree) or ()):
            if one.base is not None:
                keys = one.origins[0].keys if isinstance(tree, exp.Select) else 0
                columns.append(DecryptedColumn(place, one.base, keys))
        return columns

    def _outputs(self, query: exp.Expr) -> list[Output]:
        """The encrypted columns that a query returns."""
        return [one for one in self._lineage.outputs(query) or () if one.column is not None]

    # ------------------------------------------------------------------ checks

    def _check_use(self, select: exp.Select) -> None:
        """Whoever takes the values of an inner query must be known to follow them."""
        outputs = self._lineage.outputs(select)
        if outputs is None and self._returns_encrypted(select):
            raise not_supported(
                "'*' over encrypted columns beside a table that is not known, or items without names",
                "write the columns, and name items with AS",
            )
        top = top_of(select)
        if top is self._tree or not self._outputs(top) or id(top) in self._lineage.compared:
            return
        parent = top.parent
        around = parent.parent if isinstance(parent, exp.Subquery | exp.Alias) else None
        taken = (
            isinstance(parent, exp.CTE | exp.Exists)
            or (isinstance(parent, exp.Subquery) and isinstance(around, exp.From | exp.Join))
            or isinstance(parent, exp.From | exp.Join)
            or (isinstance(parent, exp.Select) and top.arg_key == "expressions")
            or (isinstance(parent, exp.Alias) and isinstance(around, exp.Select))
        )
        if not taken:
            raise not_supported(
                "an encrypted column as the result of a subquery in this place",
                "compare it by = or IN with another encrypted column, or select it",
            )

    def _returns_encrypted(self, select: exp.Select) -> bool:
        if isinstance(select.parent, exp.Exists):
            return False
        starred = any(map(is_star, select.expressions)) and self._lineage.from_clause(select).hides
        origins = (self._lineage.origin(item) for item in select.expressions if not is_star(item))
        return starred or any(one is not None and one.column is not None for one in origins)

    def _check_names_of_items(self, select: exp.Select) -> None:
        """ORDER BY, GROUP BY and HAVING may name an item instead of a column."""
        encrypted = [item for item in select.expressions if self._is_encrypted(item)]
        names = {item.alias.lower() for item in encrypted if isinstance(item, exp.Alias)}
        if not encrypted and not (any(map(is_star, select.expressions)) and self._returns_encrypted(select)):
            return
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

    def _is_encrypted(self, item: exp.Expr) -> bool:
        origin = None if is_star(item) else self._lineage.origin(item)
        return origin is not None and origin.column is not None

    def _check_shape(self, select: exp.Select) -> None:
        """What a SELECT as a whole does with the values of its items."""
        outputs = self._outputs(select)
        if not outputs or isinstance(select.parent, exp.Exists):
            return
        if select.args.get("distinct") is not None:
            for one in outputs:
                _check_distinct(one)
        grouped = select.args.get("group") is not None
        keys = {
            found.column.name
            for found in self._references.columns
            if isinstance(found.node.parent, exp.Group) and scope_of(found.node) is select
        }
        for one in outputs:
            origin = one.origins[0].column if one.origins else None
            if origin is None:
                continue
            if grouped and origin.name in keys and origin.equality is not origin.cipher:
                raise not_supported(
                    f"GROUP BY '{origin.name}', which is an item too and is not compared by its cipher",
                    "count without selecting it, or use a cipher of type AES without assistedQuery",
                )
            if is_aggregated(select) and one.is_compared:
                raise unclear("comparing the result of GROUP BY")
            if is_aggregated(select) and not grouped and origin.cipher.encryptor.nonce_size:
                raise unclear("aggregates without GROUP BY")

    def _check_union(self, united: exp.SetOperation) -> None:
        """Two rows are the same where their ciphers are."""
        outputs = self._outputs(united)
        order = united.args.get("order")
        if outputs and order is not None:
            if any(isinstance(one, exp.Literal) for one in _terms(order)):
                raise unclear("ORDER BY with the number of a column of a UNION")
            if any(self._is_encrypted(one) for one in order.find_all(exp.Column)):
                raise unclear("ORDER BY")
        if isinstance(united, exp.Union) and not united.args.get("distinct"):
            return
        for one in outputs:
            _check_distinct(one)


def _check_distinct(output: Output) -> None:
    column = output.base
    assert column is not None
    if column.cipher.encryptor.nonce_size:
        raise not_supported(f"DISTINCT over '{column.name}', which has {_RANDOM}", "use a cipher of type AES")
    _check_one_form(column)


def _check_one_form(column: EncryptedColumn) -> None:
    if column.assisted is None:
        alike(column, "DISTINCT")
    elif len(column.cipher.encryptor.forms("0")) > 1:
        raise not_supported("DISTINCT while there are several keys", "rotate to one key")


def _terms(part: exp.Expr) -> list[exp.Expr]:
    return [one.this if isinstance(one, exp.Ordered) else one for one in part.expressions]
