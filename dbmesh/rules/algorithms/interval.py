"""INTERVAL: spans of time from a first moment on, each named by its beginning in a suffix.

Source: ShardingSphere's `IntervalShardingAlgorithm`. A target belongs to a span when its name ends with the suffix.
Where `datetime-upper` is missing ShardingSphere takes the moment it started; here spans go on without end, because a
target must exist for a span anyway.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, no_place
from dbmesh.rules.datetime_pattern import DatetimePattern, PatternError, parse_pattern
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key, parse_temporal

PROPERTIES = (
    "datetime-pattern",
    "datetime-lower",
    "datetime-upper",
    "sharding-suffix-pattern",
    "datetime-interval-amount",
    "datetime-interval-unit",
)
_SECONDS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "HALFDAYS": 43200, "DAYS": 86400, "WEEKS": 604800}
_MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120}
_RANKS = {"SECONDS": 5, "MINUTES": 4, "HOURS": 3, "HALFDAYS": 3, "DAYS": 2, "WEEKS": 2, "MONTHS": 1}
_MOST_SPANS = 20_000


@dataclass(frozen=True, slots=True)
class Interval(StandardAlgorithm):
    """INTERVAL with its properties. A span is `months` long, or `seconds` where months is 0."""

    pattern: DatetimePattern
    suffix: DatetimePattern
    lower: datetime.datetime
    upper: datetime.datetime | None
    seconds: int
    months: int

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Span → suffix → the target that ends with it."""
        endings = _endings(targets)
        alike = all(name.startswith(targets.prefix) for name in targets.names)

        def place(key: Key) -> str:
            moment = self._moment(key)
            if moment is None:
                raise no_place(key, "INTERVAL")
            start = self._span(moment)
            if start is None:
                raise NoTarget(key, "it lies outside of datetime-lower and datetime-upper")
            suffix = self.suffix.format(start)
            found = endings.get(suffix, ())
            if len(found) == 1:
                return found[0]
            exact = targets.named(targets.prefix + suffix) if alike else None
            if exact is None:
                count = len(found) or "no"
                raise NoTarget(key, f"{count} data nodes end with '{suffix}'")
            return exact

        return place

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """The spans between two moments; text compares in another order, so it reaches every target."""
        lower = self._bound(values.lower, self.lower)
        upper = self._bound(values.upper, self.upper)
        if lower is None or upper is None:
            return targets.names
        endings = _endings(targets)
        chosen: set[str] = set()
        start: datetime.datetime | None = self._span(max(self.pattern.truncate(lower), self.lower))
        for _ in range(_MOST_SPANS):
            if (
                start is None
                or start > upper
                or (start == upper and values.upper and not values.upper_inclusive)
            ):
                return targets.in_order(chosen) or targets.names
            chosen.update(endings.get(self.suffix.format(start), ()))
            if len(chosen) == len(targets.names):
                break
            start = self._step(start, 1)
            if start is not None and self.upper is not None and start > self.upper:
                start = None
        return targets.names

    def _bound(self, key: Key, default: datetime.datetime | None) -> datetime.datetime | None:
        if key is None:
            return default
        if isinstance(key, datetime.datetime):
            return key
        return datetime.datetime.combine(key, datetime.time()) if isinstance(key, datetime.date) else None

    def _moment(self, key: Key) -> datetime.datetime | None:
        if isinstance(key, str):
            parsed = self.pattern.parse(key)
            if parsed is not None:
                return parsed
            moment = parse_temporal(key)
        else:
            moment = key if isinstance(key, datetime.date) else None
        if moment is None:
            return None
        if not isinstance(moment, datetime.datetime):
            moment = datetime.datetime.combine(moment, datetime.time())
        return self.pattern.truncate(moment)

    def _span(self, moment: datetime.datetime) -> datetime.datetime | None:
        """The beginning of the span a moment lies in, None outside of all spans."""
        if moment < self.lower:
            return None
        if self.months:
            elapsed = (moment.year - self.lower.year) * 12 + moment.month - self.lower.month
            start = self._step(self.lower, elapsed // self.months)
            if start is not None and start > moment:
                start = self._step(start, -1)
        else:
            seconds = (moment - self.lower) // datetime.timedelta(seconds=1)
            start = self._step(self.lower, seconds // self.seconds)
        return None if start is None or (self.upper is not None and start > self.upper) else start

    def _step(self, start: datetime.datetime, count: int) -> datetime.datetime | None:
        """A beginning some spans later, None at the end of the calendar."""
        try:
            if not self.months:
                return start + datetime.timedelta(seconds=count * self.seconds)
            month = start.month - 1 + count * self.months
            return start.replace(year=start.year + month // 12, month=month % 12 + 1)
        except (OverflowError, ValueError):
            return None


def _endings(targets: Targets) -> dict[str, tuple[str, ...]]:
    """Every ending of every target's name → the names that end so. O(letters of all names)."""
    endings: dict[str, tuple[str, ...]] = {}
    for name in targets.names:
        for start in range(len(name)):
            endings[name[start:]] = (*endings.get(name[start:], ()), name)
    return endings


def _pattern(properties: PropertyReader, key: str, to_read: bool) -> DatetimePattern:
    raw = properties.text(key)
    try:
        return parse_pattern(raw, to_read)
    except PatternError as mistake:
        raise PropertyMistake(
            key, str(mistake), "use the letters y M d H m s S (and Q, D in a suffix)"
        ) from None


def _moment(properties: PropertyReader, key: str, pattern: DatetimePattern) -> datetime.datetime:
    raw = properties.text(key)
    moment = pattern.parse(raw)
    if moment is None:
        raise PropertyMistake(
            key,
            f"'{raw}' does not match datetime-pattern",
            f"write it as {properties.text('datetime-pattern')}",
        )
    return moment


def create(properties: PropertyReader) -> Interval:
    """INTERVAL from its properties. Raises `PropertyMistake`."""
    pattern = _pattern(properties, "datetime-pattern", to_read=True)
    if "year" not in pattern.fields:
        raise PropertyMistake(
            "datetime-pattern", "a pattern without a year is not supported", "begin it with yyyy"
        )
    suffix = _pattern(properties, "sharding-suffix-pattern", to_read=False)
    if suffix.rank > pattern.rank:
        raise PropertyMistake(
            "sharding-suffix-pattern",
            "the suffix is finer than datetime-pattern",
            "add the field to datetime-pattern",
        )
    lower = _moment(properties, "datetime-lower", pattern)
    upper = (
        _moment(properties, "datetime-upper", pattern) if "datetime-upper" in properties.properties else None
    )
    if upper is not None and upper < lower:
        raise PropertyMistake("datetime-upper", "it is before 'datetime-lower'", "raise it")
    amount = properties.integer("datetime-interval-amount", 1, least=1, most=1_000_000)
    unit = properties.text("datetime-interval-unit", "DAYS").upper()
    if unit not in _SECONDS and unit not in _MONTHS:
        known = ", ".join((*_SECONDS, *_MONTHS))
        raise PropertyMistake("datetime-interval-unit", f"unknown unit '{unit}'", f"use one of {known}")
    if _RANKS.get(unit, 0) > pattern.rank:
        raise PropertyMistake(
            "datetime-interval-unit",
            f"{unit} is finer than datetime-pattern",
            "add the field to datetime-pattern",
        )
    if unit in _MONTHS and lower.day > 28:
        raise PropertyMistake(
            "datetime-lower", f"months counted from day {lower.day} drift", "begin on one of the days 1 to 28"
        )
    return Interval(
        pattern, suffix, lower, upper, _SECONDS.get(unit, 0) * amount, _MONTHS.get(unit, 0) * amount
    )
