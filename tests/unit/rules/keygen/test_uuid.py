"""UUID keys."""

import uuid

from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.uuid import Uuid
from dbmesh.rules.ruleset import KeyGeneratorConfig


def test_a_version_4_uuid_without_hyphens() -> None:
    for filler in (b"\x00", b"\xff", b"\x5a"):
        key = Uuid(lambda count, filler=filler: filler * count).next_key()  # type: ignore[misc]
        parsed = uuid.UUID(hex=key)
        assert key == parsed.hex
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122


def test_made_from_configuration() -> None:
    made = make_key_generator(KeyGeneratorConfig("uuid"), lambda: 0, lambda count: b"\x01" * count)
    assert isinstance(made, Uuid)
