"""The mask MD5: the hexadecimal digest of the value's text and a salt, as ShardingSphere writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dbmesh.model import ColumnSchema
from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.masks.expressions import as_utf8, literal

PROPERTIES: Final = ("salt",)


@dataclass(frozen=True, slots=True)
class Md5:
    """MD5 of the text in UTF-8, the salt behind it."""

    salt: str

    def expression(self, column: str, schema: ColumnSchema) -> str:
        """See `MaskAlgorithm`."""
        text = as_utf8(column, schema)
        if text is None:
            return "NULL"
        return f"MD5(CONCAT({text}, {literal(self.salt)}))" if self.salt else f"MD5({text})"


def create(properties: PropertyReader) -> Md5:
    """The mask of these properties."""
    return Md5(properties.properties.get("salt", ""))
