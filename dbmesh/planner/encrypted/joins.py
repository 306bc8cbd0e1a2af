"""USING and NATURAL JOIN over encrypted columns: each becomes ON with the columns that servers may compare.

Decides which of both columns a name without a qualifier means then: that of the left side, as for servers.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.conditions import alike, class_of
from dbmesh.planner.encrypted.from_clause import Field, Merge
from dbmesh.planner.encrypted.lineage import Output
from dbmesh.planner.encrypted.recipe import Rewriting
from dbmesh.planner.encrypted.references import References
from dbmesh.planner.lexemes import Lexeme
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.subselects import scope_of


class JoinRewriter:
    """The joins of one statement. `known` are the places of names that have been followed."""

    def __init__(
        self,
        context: PlanContext,
        references: References,
        rewriting: Rewriting,
        lexemes: Sequence[Lexeme],
    ) -> None:
        self._context = context
        self._references = references
        self._rewriting = rewriting
        self._lexemes = lexemes
        self.known: set[int] = set()

    def rewrite(self, tree: exp.Expr) -> None:
        """Raises MeshError(NOT_SUPPORTED)."""
        for scope in tree.find_all(exp.Select, exp.Update, exp.Delete):
            clause = self._references.lineage.from_clause(scope)
            written = [one for one in clause.merges if clause.hides and self._is_written(one)]
            for merge in written:
                self._as_on(merge)
            if written:
                left = {id(one) for merge in written for one, _ in merge.pairs or ()}
                self._qualify(left)

    def _is_written(self, merge: Merge) -> bool:
        """Whether a server would compare other columns than the client: NATURAL JOIN finds those that keep values."""
        if merge.pairs is None or merge.join.method:
            return True
        return any(one.column or other.column for one, other in merge.pairs)

    def _as_on(self, merge: Merge) -> None:
        if merge.pairs is None or not merge.certain:
            raise not_supported(
                "this USING or NATURAL JOIN over encrypted columns", "write ON a.column = b.column"
            )
        condition = " AND ".join(self._equal(*pair) for pair in merge.pairs) or "TRUE"
        if merge.join.method:
            self._instead_of_natural(merge.join, condition)
        else:
            self._instead_of_using(merge.join, condition)

    def _equal(self, left: Field, right: Field) -> str:
        names = [left.name, right.name]
        if left.column is not None or right.column is not None:
            if left.column is None or right.column is None or class_of(left.column) != class_of(right.column):
                raise not_supported(
                    f"a join by the encrypted column '{left.name}', which is encrypted otherwise on the other side",
                    "give both the same encryptor for equality and the same type",
                )
            names = [self._compared(left), self._compared(right)]
        return " = ".join(
            f"{quoted(self._context, one.alias)}.{quoted(self._context, name)}"
            for one, name in zip((left, right), names, strict=True)
        )

    def _compared(self, field: Field) -> str:
        assert field.column is not None
        stored = alike(field.column, "a join")
        if stored is field.column.assisted and isinstance(field.output, Output):
            field.output.compare()
        return stored.name

    def _instead_of_using(self, join: exp.Join, condition: str) -> None:
        names = {
            int(one.this.meta["start"] if isinstance(one, exp.Column) else one.meta["start"])
            for one in join.args["using"]
        }
        first = next(at for at, one in enumerate(self._lexemes) if one.start == min(names))
        last = next(at for at, one in enumerate(self._lexemes) if one.start == max(names))
        self.known |= names
        self._rewriting.replace(
            self._lexemes[first - 2].start, self._lexemes[last + 1].end, f"ON {condition}"
        )

    def _instead_of_natural(self, join: exp.Join, condition: str) -> None:
        node = join.this
        alias = node.args.get("alias")
        hidden = node.args.get("hints") or node.args.get("joins")
        named = alias is None or (alias.this is not None and not alias.args.get("columns"))
        if not isinstance(node, exp.Table | exp.Subquery) or hidden or not named:
            raise not_supported(
                "NATURAL JOIN of this form over encrypted columns", "write ON a.column = b.column"
            )
        start = min(int(one.meta["start"]) for one in node.find_all(exp.Identifier) if "start" in one.meta)
        end = int((alias if alias is not None else node).this.meta["end"]) + 1
        word = next(one for one in reversed(self._lexemes) if one.start < start and one.word == "NATURAL")
        self._rewriting.replace(word.start, word.end, "")
        self._rewriting.insert(end, f" ON {condition}")

    def _qualify(self, fields: set[int]) -> None:
        """Names that were one column, and could be two now."""
        for node, field in self._references.resolved:
            if node.table or id(field) not in fields or field.column is not None:
                continue
            scope = scope_of(node)
            named = scope.expressions if isinstance(scope, exp.Select) else []
            if any(isinstance(one, exp.Alias) and one.alias.lower() == node.name.lower() for one in named):
                raise not_supported(
                    f"the column '{node.name}' of USING beside an item of that name",
                    "write ON a.column = b.column",
                )
            start = int(node.this.meta["start"])
            self._rewriting.insert(start, f"{quoted(self._context, field.alias)}.")
