"""Column definitions of rewritten statements are told as one server tells the client's own."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.session.answering.corrections import Corrections
from dbmesh.session.answering.result_sink import text_column
from dbmesh.wire.constants import ColumnFlag

_PART = 16384
_NOT_NULL = ColumnFlag.NOT_NULL.value
_SEEN = replace(text_column("a"), flags=_PART, decimals=39, org_table=b"t_0", length=12)
_TOLD = replace(_SEEN, flags=0, decimals=0, org_name=b"")


def test_what_was_seen_is_told_as_it_was_learnt() -> None:
    same = text_column("b")
    assert list(Corrections([_SEEN, same], [_TOLD, same]).of([_SEEN, same])) == [_TOLD, same]


def test_what_answers_say_themselves_stays() -> None:
    later = replace(_SEEN, flags=_PART | _NOT_NULL, length=40, character_set=8, org_table=b"t_3")
    [corrected] = Corrections([_SEEN], [_TOLD]).of([later])
    assert corrected == replace(later, flags=_NOT_NULL, decimals=0, org_name=b"")


def test_another_value_than_the_one_seen_is_not_replaced() -> None:
    later = replace(_SEEN, decimals=3)
    [corrected] = Corrections([_SEEN], [_TOLD]).of([later])
    assert corrected.decimals == 3


def test_a_table_that_has_other_columns_by_now_is_told_as_it_is() -> None:
    assert Corrections([_SEEN], [_TOLD]).of([_SEEN, _SEEN]) == [_SEEN, _SEEN]
