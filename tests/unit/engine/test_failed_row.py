"""Asking a server which row of an INSERT it refused always ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from dbmesh.engine.collect import Collector
from dbmesh.engine.failed_row import ask_failed_row
from dbmesh.errors import ShardError
from dbmesh.session.answering.result_sink import text_column
from dbmesh.wire.packets import OkPacket
from dbmesh.wire.values import encode_text_row

Rows = Sequence[Sequence[bytes | None]]


class Answers:
    """A connection whose answers are given: rows, or an error."""

    def __init__(self, *answers: Rows | ShardError) -> None:
        self._answers = list(answers)

    def query(self, sql: bytes, receiver: Collector) -> None:
        del sql
        answer = self._answers.pop(0)
        if isinstance(answer, ShardError):
            receiver.failed(answer)
            return
        receiver.columns([text_column("a"), text_column("b")] if answer else [])
        receiver.rows([encode_text_row(row) for row in answer])
        receiver.done(OkPacket(), more=False)


KILLED = ShardError(1317, "70100", "Query execution was interrupted")


@pytest.mark.parametrize(
    ("answers", "row"),
    [
        (((), ((b"3", None),)), 3),
        (((), ((None, None),)), None),
        ((KILLED,), None),
        (((), KILLED), None),
        # A SELECT of constants that a KILL meets ends well, without rows.
        (((), ()), None),
    ],
)
async def test_the_row_is_told_or_none(answers: tuple[Rows | ShardError, ...], row: int | None) -> None:
    told: list[int | None] = []
    ask_failed_row(cast("Any", Answers(*answers)), told.append)
    for _ in range(4):
        await asyncio.sleep(0)
    assert told == [row]
