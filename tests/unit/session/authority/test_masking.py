"""Which texts of data sources reach a client that reads masked columns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import NO_DATABASE, MeshError, ShardError
from dbmesh.session.authority.masking import reads_masked, veiled, veiled_warnings


def _session(*, masked: bool) -> Any:
    others = SimpleNamespace()
    plans = SimpleNamespace(has_masks=True)
    plans.seen_by = lambda principals: others if masked and principals == {"anna"} else plans
    databases = {
        "shop": SimpleNamespace(plans=plans),
        "plain": SimpleNamespace(plans=SimpleNamespace(has_masks=False)),
    }
    return cast(
        "Any", SimpleNamespace(principals=frozenset({"anna"}), mesh=SimpleNamespace(databases=databases))
    )


OUT_OF_RANGE = ShardError(1690, "22003", "DOUBLE value is out of range in 'exp(length('secret'))'")
UNKNOWN_COLUMN = ShardError(1054, "42S22", "Unknown column 'x' in 'SELECT'")


def test_expressions_are_not_told_to_a_reader_of_masks() -> None:
    session = _session(masked=True)
    assert reads_masked(session)
    error = veiled(session, OUT_OF_RANGE)
    assert isinstance(error, ShardError)
    assert (error.number, error.sqlstate) == (1690, "22003")
    assert "secret" not in str(error)
    own = MeshError(NO_DATABASE)
    assert veiled(session, UNKNOWN_COLUMN) is UNKNOWN_COLUMN
    assert veiled(session, own) is own


def test_others_are_told_everything() -> None:
    session = _session(masked=False)
    assert not reads_masked(session)
    assert veiled(session, OUT_OF_RANGE) is OUT_OF_RANGE
    warnings = [ShardWarning("Note", 1105, "Cannot use key for lookup: 'secret'")]
    assert veiled_warnings(session, warnings) == warnings


def test_warnings_are_told_by_their_numbers() -> None:
    session = _session(masked=True)
    warnings = [
        ShardWarning("Note", 1105, "Cannot use key for lookup: 'secret'"),
        ShardWarning("Note", 1105, "dbmesh: one after another"),
        ShardWarning("Warning", 1292, "Truncated incorrect DOUBLE value: 'a**'"),
    ]
    first, *others = veiled_warnings(session, warnings)
    assert "secret" not in first.message
    assert others == warnings[1:]
