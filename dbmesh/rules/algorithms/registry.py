"""The table of algorithms: type → kind of strategy, properties, maker.

Decides which algorithms exist. One file each says how they place values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dbmesh.rules.algorithms import (
    auto_interval,
    boundary_range,
    class_based,
    complex_inline,
    hash_mod,
    hint_inline,
    inline,
    interval,
    mod,
    volume_range,
)
from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.ruleset import ShardingAlgorithm


@dataclass(frozen=True, slots=True)
class AlgorithmType:
    """One row. `strategies` are the kinds of strategy it serves; `automatic` says whether auto tables may use it;
    `properties` None accepts any."""

    create: Callable[[PropertyReader], ShardingAlgorithm]
    strategies: tuple[str, ...]
    properties: tuple[str, ...] | None
    automatic: bool = False


_STANDARD = ("standard",)

ALGORITHMS: Final[Mapping[str, AlgorithmType]] = MappingProxyType(
    {
        "MOD": AlgorithmType(mod.create, _STANDARD, mod.PROPERTIES, automatic=True),
        "HASH_MOD": AlgorithmType(hash_mod.create, _STANDARD, hash_mod.PROPERTIES, automatic=True),
        "VOLUME_RANGE": AlgorithmType(
            volume_range.create, _STANDARD, volume_range.PROPERTIES, automatic=True
        ),
        "BOUNDARY_RANGE": AlgorithmType(
            boundary_range.create, _STANDARD, boundary_range.PROPERTIES, automatic=True
        ),
        "AUTO_INTERVAL": AlgorithmType(
            auto_interval.create, _STANDARD, auto_interval.PROPERTIES, automatic=True
        ),
        "INLINE": AlgorithmType(inline.create, _STANDARD, inline.PROPERTIES),
        "INTERVAL": AlgorithmType(interval.create, _STANDARD, interval.PROPERTIES),
        "COMPLEX_INLINE": AlgorithmType(complex_inline.create, ("complex",), complex_inline.PROPERTIES),
        "HINT_INLINE": AlgorithmType(hint_inline.create, ("hint",), hint_inline.PROPERTIES),
        "CLASS_BASED": AlgorithmType(class_based.create, ("standard", "complex", "hint"), None),
    }
)
