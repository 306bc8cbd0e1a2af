"""Numbers of the protocol that other code relies on, checked against the manual's values."""

from __future__ import annotations

from dbmesh.wire.constants import Capability, ColumnFlag, ColumnType, Command, Status


def test_numbers_are_the_manuals() -> None:
    assert (Capability.PROTOCOL_41, Capability.SSL, Capability.DEPRECATE_EOF) == (512, 2048, 1 << 24)
    assert (Command.STMT_EXECUTE, Command.RESET_CONNECTION) == (0x17, 0x1F)
    assert (ColumnType.NEWDECIMAL, ColumnType.VAR_STRING) == (246, 253)
    assert (ColumnFlag.UNSIGNED, Status.MORE_RESULTS_EXISTS, Status.CURSOR_EXISTS) == (32, 8, 64)
