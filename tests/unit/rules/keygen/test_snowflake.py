"""SNOWFLAKE keys: layout, growth, clocks that stand or go back."""

import pytest

from dbmesh.errors import MeshError
from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.snowflake import EPOCH_MS, Snowflake, Worker
from dbmesh.rules.ruleset import KeyGeneratorConfig


class Clock:
    def __init__(self, *moments: int) -> None:
        self.moments = list(moments)

    def __call__(self) -> int:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


def test_layout() -> None:
    key = Snowflake(Clock(EPOCH_MS + 7), Worker(3)).next_key()
    assert (key >> 22, key >> 12 & 1023, key & 4095) == (7, 3, 0)


def test_the_first_sequence_of_a_millisecond_alternates() -> None:
    generator = Snowflake(Clock(*(EPOCH_MS + step for step in range(1, 7))), Worker(0), vibration=2)
    assert [generator.next_key() & 4095 for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_keys_grow_beyond_4096_in_one_millisecond() -> None:
    generator = Snowflake(Clock(EPOCH_MS + 1), Worker(1))
    keys = [generator.next_key() for _ in range(10_000)]
    assert keys == sorted(set(keys))
    assert keys[-1] >> 22 == 3


def test_a_small_step_back_is_bridged_and_a_large_one_refused() -> None:
    now = EPOCH_MS + 100_000
    generator = Snowflake(Clock(now, now - 1000, now - 5000), Worker(1))
    first = generator.next_key()
    assert generator.next_key() > first
    with pytest.raises(MeshError, match="5000 ms behind"):
        generator.next_key()


@pytest.mark.parametrize(("worker", "vibration"), [(-1, 1), (1024, 1), (0, -1), (0, 4096)])
def test_bad_settings(worker: int, vibration: int) -> None:
    with pytest.raises(ValueError):
        Snowflake(Clock(0), Worker(worker), vibration)


def test_every_property_has_an_effect() -> None:
    def made(clock: Clock, **properties: str) -> Snowflake:
        named = {name.replace("_", "-"): value for name, value in properties.items()}
        generator = make_key_generator(KeyGeneratorConfig("SNOWFLAKE", named), clock, lambda count: b"")
        assert isinstance(generator, Snowflake)
        return generator

    vibrating = made(Clock(*(EPOCH_MS + step for step in range(1, 5))), max_vibration_offset="2")
    assert [vibrating.next_key() & 4095 for _ in range(4)] == [0, 1, 2, 0]
    now = EPOCH_MS + 100_000
    patient = made(Clock(now, now - 5000), max_tolerate_time_difference_milliseconds="4000")
    assert patient.next_key() < patient.next_key()


def test_a_worker_that_lost_its_number_makes_no_keys() -> None:
    seconds = [0.0]
    worker = Worker(clock=lambda: seconds[0])
    generator = Snowflake(Clock(EPOCH_MS + 1), worker)
    with pytest.raises(MeshError, match="worker number"):
        generator.next_key()
    worker.hold(77, 10.0)
    assert generator.next_key() >> 12 & 1023 == 77
    seconds[0] = 10.0
    with pytest.raises(MeshError, match="worker number"):
        generator.next_key()


def test_made_from_configuration() -> None:
    def no_bytes(count: int) -> bytes:
        raise AssertionError(count)

    own = make_key_generator(
        KeyGeneratorConfig("SNOWFLAKE", {"worker-id": "9"}), Clock(EPOCH_MS + 1), no_bytes, Worker(5)
    )
    given = make_key_generator(KeyGeneratorConfig("snowflake"), Clock(EPOCH_MS + 1), no_bytes, Worker(5))
    assert isinstance(own, Snowflake)
    assert isinstance(given, Snowflake)
    assert own.next_key() >> 12 & 1023 == 9
    assert given.next_key() >> 12 & 1023 == 5
    with pytest.raises(ValueError, match="unknown key generator"):
        make_key_generator(KeyGeneratorConfig("NANOID"), Clock(0), no_bytes)
