"""Properties are texts; what is wrong with them is said in the operator's terms."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader

READER = PropertyReader({"name": " x ", "count": "7", "flag": "TRUE", "empty": " ", "word": "x"})


def test_values_and_defaults() -> None:
    assert READER.text("name") == "x"
    assert READER.text("absent", "y") == "y"
    assert (READER.integer("count"), READER.integer("absent", 3)) == (7, 3)
    assert (READER.boolean("flag", False), READER.boolean("absent", True)) == (True, True)


def test_mistakes() -> None:
    for call, message in (
        (lambda: READER.text("absent"), "property 'absent' is missing"),
        (lambda: READER.text("empty"), "property 'empty' is missing"),
        (lambda: READER.integer("word"), "'x' is not an integer"),
        (lambda: READER.integer("count", least=8), "7 is below 8"),
        (lambda: READER.integer("count", most=6), "7 is above 6"),
        (lambda: READER.boolean("word", False), "'x' is neither true nor false"),
    ):
        with pytest.raises(PropertyMistake) as caught:
            call()
        assert caught.value.message == message
        assert caught.value.fix
