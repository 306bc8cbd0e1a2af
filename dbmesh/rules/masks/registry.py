"""The table of masks: type → properties, maker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.masks import cover, digest, replacement
from dbmesh.rules.masks.rule import MaskAlgorithm


@dataclass(frozen=True, slots=True)
class MaskType:
    """One row."""

    create: Callable[[PropertyReader], MaskAlgorithm]
    properties: tuple[str, ...]


MASKS: Final[Mapping[str, MaskType]] = MappingProxyType(
    {
        "MD5": MaskType(digest.create, digest.PROPERTIES),
        "KEEP_FIRST_N_LAST_M": MaskType(cover.keep_first_and_last, cover.FIRST_AND_LAST),
        "KEEP_FROM_X_TO_Y": MaskType(cover.keep_from_to, cover.FROM_AND_TO),
        "MASK_FIRST_N_LAST_M": MaskType(cover.mask_first_and_last, cover.FIRST_AND_LAST),
        "MASK_FROM_X_TO_Y": MaskType(cover.mask_from_to, cover.FROM_AND_TO),
        "MASK_BEFORE_SPECIAL_CHARS": MaskType(cover.mask_before, cover.SPECIAL),
        "MASK_AFTER_SPECIAL_CHARS": MaskType(cover.mask_after, cover.SPECIAL),
        "GENERIC_TABLE_RANDOM_REPLACE": MaskType(replacement.create_generic, replacement.GENERIC),
        "TELEPHONE_RANDOM_REPLACE": MaskType(replacement.create_telephone, replacement.TELEPHONE),
    }
)
