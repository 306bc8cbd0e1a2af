"""MySQL's functions by name: how sqlglot's nodes spell them. What each becomes is each data source's own business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from dbmesh.backend.transpile.refusals import ANYWHERE


@dataclass(frozen=True, slots=True)
class Call:
    """A function call: its MySQL name and arguments; the unit and direction of date arithmetic."""

    name: str
    arguments: tuple[exp.Expression, ...]
    unit: str = ""
    backwards: bool = False


def call_of(node: exp.Expression) -> Call | None:
    """The call a node of sqlglot is, or None."""
    if isinstance(node, exp.Anonymous):
        return Call(str(node.this).upper(), tuple(node.expressions))
    if isinstance(node, exp.DateAdd | exp.DateSub):
        return Call("SHIFT", (node.this, node.expression), node.text("unit"), isinstance(node, exp.DateSub))
    if isinstance(node, exp.TimeToStr):
        return Call("DATE_FORMAT", (_bare(node.this), _mysql_format(node)))
    if isinstance(node, exp.Extract):
        return Call(node.this.name.upper(), (node.expression,))
    if isinstance(node, exp.Trim):
        where, what = node.args.get("position") or "BOTH", node.args.get("expression")
        blank = exp.Literal.string(" ")
        return Call("TRIM", (node.this, what or blank, exp.Literal.string(str(where))))
    if isinstance(node, exp.Pad):
        name = "LPAD" if node.args.get("is_left") else "RPAD"
        return Call(name, (node.this, node.expression, node.args["fill_pattern"]))
    if isinstance(node, exp.Length):
        return Call("LENGTH" if node.args.get("binary") else "CHAR_LENGTH", (node.this,))
    if isinstance(node, exp.StrPosition):
        start = node.args.get("position") or exp.Literal.number(1)
        return Call("LOCATE", (node.args["substr"], node.this, start))
    spelling = _SPELLINGS.get(type(node))
    if spelling is None:
        return None
    name, keys = spelling
    arguments: list[exp.Expression] = []
    for key, value in node.args.items():
        if key in _MODIFIERS or value is None or value is False:
            continue
        if key not in keys:
            return None
        arguments.extend(value if isinstance(value, list) else [value])
    return Call(name, tuple(_bare(argument) for argument in arguments))


def _mysql_format(node: exp.TimeToStr) -> exp.Expression:
    """sqlglot keeps the format in Python's letters: only its own way back to MySQL's undoes that."""
    if not isinstance(node.args["format"], exp.Literal):
        raise ANYWHERE.refusal("a computed DATE_FORMAT", "write the format out")
    texts = [token.text for token in sqlglot.tokenize(node.sql("mysql"), dialect="mysql")]
    return exp.Literal.string(texts[-2])


def _bare(node: exp.Expression) -> exp.Expression:
    """sqlglot wraps the arguments of date functions in conversions MySQL does by itself."""
    while isinstance(node, exp.TsOrDsToTimestamp):
        node = node.this
    return node


_MODIFIERS = frozenset({"safe", "coalesce", "date_part_boundary", "ignore_nulls", "to"})
_ONE = ("this",)
_SPELLINGS: Mapping[type, tuple[str, tuple[str, ...]]] = {
    exp.Concat: ("CONCAT", ("expressions",)),
    exp.ConcatWs: ("CONCAT_WS", ("expressions",)),
    exp.CurrentDate: ("CURDATE", ()),
    exp.CurrentTimestamp: ("NOW", _ONE),
    exp.UtcTimestamp: ("NOW", _ONE),
    exp.CurrentVersion: ("VERSION", ()),
    exp.CurrentSchema: ("DATABASE", ()),
    exp.UnixToTime: ("FROM_UNIXTIME", _ONE),
    exp.Left: ("LEFT", ("this", "expression")),
    exp.Right: ("RIGHT", ("this", "expression")),
    exp.SubstringIndex: ("SUBSTRING_INDEX", ("this", "delimiter", "count")),
    exp.Substring: ("SUBSTRING", ("this", "start", "length")),
    exp.MD5: ("MD5", _ONE),
    exp.SHA: ("SHA1", _ONE),
    exp.SHA2: ("SHA2", ("this", "length")),
    exp.Hex: ("HEX", _ONE),
    exp.Unhex: ("UNHEX", _ONE),
    exp.Rand: ("RAND", ()),
    exp.Uuid: ("UUID", ()),
    exp.Collation: ("COLLATION", _ONE),
    exp.Floor: ("FLOOR", _ONE),
    exp.Ceil: ("CEILING", _ONE),
    exp.Round: ("ROUND", ("this", "decimals")),
    exp.Trunc: ("TRUNCATE", ("this", "decimals")),
    exp.Pow: ("POW", ("this", "expression")),
    exp.Sqrt: ("SQRT", _ONE),
    exp.Abs: ("ABS", _ONE),
    exp.Sign: ("SIGN", _ONE),
    exp.ConvertTimezone: ("CONVERT_TZ", ("timestamp", "source_tz", "target_tz")),
    exp.DateDiff: ("DATEDIFF", ("this", "expression")),
    exp.WeightString: ("WEIGHT_STRING", _ONE),
    exp.Year: ("YEAR", _ONE),
    exp.Quarter: ("QUARTER", _ONE),
    exp.Month: ("MONTH", _ONE),
    exp.Day: ("DAY", _ONE),
    exp.Hour: ("HOUR", _ONE),
    exp.Minute: ("MINUTE", _ONE),
    exp.Second: ("SECOND", _ONE),
    exp.DayOfWeek: ("DAYOFWEEK", _ONE),
    exp.DayOfYear: ("DAYOFYEAR", _ONE),
    exp.TsOrDsToDate: ("DATE", _ONE),
    exp.LastDay: ("LAST_DAY", _ONE),
    exp.Upper: ("UPPER", _ONE),
    exp.Lower: ("LOWER", _ONE),
    exp.Replace: ("REPLACE", ("this", "expression", "replacement")),
    exp.Reverse: ("REVERSE", _ONE),
    exp.Repeat: ("REPEAT", ("this", "times")),
    exp.Space: ("SPACE", _ONE),
    exp.Ascii: ("ASCII", _ONE),
}
