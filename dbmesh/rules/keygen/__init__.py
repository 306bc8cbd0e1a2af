"""Key generators: one file each; this one makes them from configuration.

Decides which types exist and which properties they have. The clock and randomness are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from dbmesh.rules.keygen.auto_increment import AutoIncrement
from dbmesh.rules.keygen.snowflake import Snowflake, Worker
from dbmesh.rules.keygen.uuid import Uuid
from dbmesh.rules.ruleset import KeyGeneratorConfig

KEY_GENERATORS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "SNOWFLAKE": ("worker-id", "max-vibration-offset", "max-tolerate-time-difference-milliseconds"),
        "UUID": (),
        "AUTO_INCREMENT": (),
    }
)
"""Type → its properties."""


def make_key_generator(
    config: KeyGeneratorConfig,
    now_ms: Callable[[], int],
    random_bytes: Callable[[int], bytes],
    worker: Worker | None = None,
) -> Snowflake | Uuid | AutoIncrement:
    """A generator. `now_ms` gives milliseconds since 1970 UTC, `random_bytes(n)` n random bytes, `worker` holds where
    the configuration names none (None: number 0). Raises ValueError for an unknown type or bad properties, which the loader prevents."""
    if config.type.upper() == "UUID":
        return Uuid(random_bytes)
    if config.type.upper() == "AUTO_INCREMENT":
        return AutoIncrement(config.properties.get("table", ""))
    if config.type.upper() != "SNOWFLAKE":
        raise ValueError(f"unknown key generator type '{config.type}'")
    properties = config.properties
    return Snowflake(
        now_ms,
        Worker(int(properties["worker-id"])) if "worker-id" in properties else worker or Worker(),
        int(properties.get("max-vibration-offset", 1)),
        int(properties.get("max-tolerate-time-difference-milliseconds", 10)),
    )
