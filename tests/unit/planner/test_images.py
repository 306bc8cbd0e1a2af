"""How the rows of images are named."""

from __future__ import annotations

from dbmesh.planner.images import ImageColumn, ImageTable
from dbmesh.planner.scans import LiteralForm

_TABLE = ImageTable(
    "t",
    (
        ImageColumn("id", "`id`", LiteralForm.NUMBER),
        ImageColumn("region", "`region`", LiteralForm.QUOTED),
    ),
    (0,),
)


def test_conditions_name_rows_by_their_keys() -> None:
    assert _TABLE.condition([(b"1",), (b"2",)]) == "`id` IN (1,2)"
    wider = _TABLE.told_apart_by(("REGION",))
    assert wider.condition([(b"1", b"eu"), (b"2", None)]) == (
        "(`id`=1 AND `region`='eu') OR (`id`=2 AND `region` IS NULL)"
    )
