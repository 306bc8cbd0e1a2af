"""The item `!ENCRYPT` to encrypted tables.

Decides that every mistake is reported where it stands, and what may not be encrypted: a column that decides where a row lies, and one
that servers mask. What an encryptor does is its algorithm's file's business; keys come through a function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.encryption import aes, char_digest_like, digests
from dbmesh.rules.encryption.keys import ID, Key, KeyRing
from dbmesh.rules.encryption.logic_type import COLLATIONS, read_type
from dbmesh.rules.encryption.rule import (
    EncryptedColumn,
    EncryptedTable,
    Encryptor,
    LikeColumn,
    LikeDigest,
    StoredColumn,
)
from dbmesh.rules.masks.rule import MaskedTable
from dbmesh.rules.models import (
    EncryptedColumnSection,
    EncryptedTableSection,
    EncryptorSection,
    EncryptSection,
    StoredColumnSection,
)
from dbmesh.rules.ruleset import ShardedTable, TableRule
from dbmesh.rules.sections import report_unknown, suggestion
from dbmesh.rules.source import Path, SourceFile

_SHORTEST_KEY: Final = 16
_AES_KEY, _DIGEST = "aes-key-value", "digest-algorithm-name"
_TYPES: Final = "CHAR(n), VARCHAR(n), TEXT, integers, DECIMAL(p,s), DATE and DATETIME(p)"


@dataclass(frozen=True, slots=True)
class _Known:
    """An encryptor as far as it could be made, and how it is written."""

    made: Encryptor | LikeDigest | None
    written: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an encryptor stands, and what is needed to read it."""

    source: SourceFile
    path: Path
    section: EncryptorSection
    secrets: Secrets

    def report(self, key: str, message: str, fix: str) -> None:
        """Report a mistake of the encryptor."""
        self.source.report((*self.path, *key.split(".")), message, fix)

    def value(self, key: str) -> str:
        """A property with its references replaced, '' when it is missing."""
        text = self.section.props.get(key, "")
        return resolve_secrets(self.source, (*self.path, "props", key), text, self.secrets, commands=True)

    def keys(self, make: Callable[[str], bytes], first: Key | None = None) -> KeyRing:
        """The keys listed under `keys`, behind the `first`."""
        found = [] if first is None else [first]
        for index, one in enumerate(self.section.keys):
            path: Path = (*self.path, "keys", index)
            if not ID.fullmatch(one.id) or one.id in {key.id for key in found}:
                self.source.report(
                    (*path, "id"), f"'{one.id}' is no id, or another key's", "write letters and digits"
                )
            text = resolve_secrets(self.source, (*path, "value"), one.value, self.secrets, commands=True)
            if len(text) < _SHORTEST_KEY:
                text_of = f"the key has fewer than {_SHORTEST_KEY} characters"
                self.source.report((*path, "value"), text_of, "take a long random text")
            found.append(Key(one.id, make(text)))
        if not found:
            self.report("keys", "there is no key", "add one with id and value")
        return KeyRing(tuple(found))


def _aes(place: _Place) -> Encryptor | None:
    digest = place.section.props.get(_DIGEST, "SHA-1").upper()
    if digest not in aes.DIGESTS:
        place.report(f"props.{_DIGEST}", f"unknown digest '{digest}'", suggestion(digest, aes.DIGESTS))
        return None
    if not place.section.props.get(_AES_KEY) and not place.section.keys:
        place.report("props", f"'{_AES_KEY}' is missing", f"add '{_AES_KEY}' under props, or keys")
        return None
    text = place.value(_AES_KEY)
    first = Key("", aes.ecb_key(text, digest)) if text else None
    return aes.Aes(place.keys(lambda key: aes.ecb_key(key, digest), first))


def _aes_gcm(place: _Place) -> Encryptor:
    return aes.AesGcm(place.keys(aes.gcm_key))


def _md5(place: _Place) -> Encryptor:
    return digests.Md5(place.value("salt"))


def _hmac(place: _Place) -> Encryptor:
    return digests.HmacSha256(place.keys(lambda key: key.encode("utf-8")))


def _like(place: _Place) -> LikeDigest | None:
    try:
        return char_digest_like.create(PropertyReader(place.section.props))
    except PropertyMistake as mistake:
        place.report(f"props.{mistake.key}", mistake.message, mistake.fix)
        return None


@dataclass(frozen=True, slots=True)
class _Type:
    """One row of the table of encryptors."""

    make: Callable[[_Place], Encryptor | LikeDigest | None]
    properties: tuple[str, ...]
    keyed: bool = True


ENCRYPTORS: Final[Mapping[str, _Type]] = MappingProxyType(
    {
        "AES": _Type(_aes, (_AES_KEY, _DIGEST)),
        "AES_GCM": _Type(_aes_gcm, ()),
        "MD5": _Type(_md5, ("salt",), keyed=False),
        "HMAC_SHA256": _Type(_hmac, ()),
        "CHAR_DIGEST_LIKE": _Type(_like, char_digest_like.PROPERTIES, keyed=False),
    }
)
"""Type → maker, properties, and whether it takes `keys`."""


def build_encryption(
    source: SourceFile,
    path: Path,
    section: EncryptSection,
    secrets: Secrets,
    tables: Mapping[str, TableRule],
    masks: Mapping[str, MaskedTable],
) -> dict[str, EncryptedTable]:
    """Table in lower case → its encrypted columns; mistakes are reported."""
    known = {
        name: _encryptor(_Place(source, (*path, "encryptors", name), one, secrets))
        for name, one in section.encryptors.items()
    }
    found: dict[str, EncryptedTable] = {}
    for name, table in section.tables.items():
        place: Path = (*path, "tables", name)
        columns = tuple(_columns(source, place, table, known))
        found[name.lower()] = EncryptedTable(name, columns)
        if not table.columns:
            source.report(place, "no column is encrypted", "name one under columns")
        _check_names(source, place, columns)
        _check_others(source, place, columns, tables.get(name.lower()), masks.get(name.lower()))
    return found


def _encryptor(place: _Place) -> _Known:
    section = place.section
    written = f"{section.type}({', '.join(key.id for key in section.keys)})"
    kind = ENCRYPTORS.get(section.type.upper())
    if kind is None:
        place.report("type", f"unknown encryptor '{section.type}'", suggestion(section.type, ENCRYPTORS))
        return _Known(None, written)
    for name in section.props:
        if name not in kind.properties:
            place.report(f"props.{name}", f"unknown property '{name}'", suggestion(name, kind.properties))
    if section.keys and not kind.keyed:
        place.report("keys", f"{section.type} takes no keys", "remove them")
    return _Known(kind.make(place), written)


def _columns(
    source: SourceFile, path: Path, table: EncryptedTableSection, known: Mapping[str, _Known]
) -> Iterator[EncryptedColumn]:
    for name, column in table.columns.items():
        place: Path = (*path, "columns", name)
        kind = read_type(column.data_type)
        if kind is None:
            source.report(
                (*place, "dataType"),
                f"a column of type '{column.data_type}' cannot be encrypted",
                f"use one of {_TYPES}, without a collation: texts compare as under {' or '.join(COLLATIONS)}",
            )
        parts = _Parts(source, place, known)
        cipher = parts.stored("cipher", column.cipher)
        if cipher is not None and not cipher.encryptor.decrypts:
            parts.unfit("cipher", column.cipher, "cannot be decrypted", "use AES or AES_GCM")
        assisted = parts.stored("assistedQuery", column.assisted_query)
        if assisted is not None and assisted.encryptor.nonce_size:
            parts.unfit(
                "assistedQuery", column.assisted_query, "is different each time", "use HMAC_SHA256 or MD5"
            )
        like = parts.like(column)
        if like is not None and kind is not None and not kind.is_text:
            source.report((*place, "likeQuery"), "LIKE is for texts", "remove likeQuery")
        if kind is not None and cipher is not None:
            yield EncryptedColumn(name, kind, cipher, assisted, like, plain=column.plain)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The columns one logic column is kept in."""

    source: SourceFile
    place: Path
    known: Mapping[str, _Known]

    def unfit(self, key: str, section: StoredColumnSection | None, why: str, fix: str) -> None:
        """Report an encryptor that is none for this part."""
        name = "" if section is None else section.encryptor_name
        self.source.report((*self.place, key, "encryptorName"), f"what '{name}' makes {why}", fix)

    def stored(self, key: str, section: StoredColumnSection | None) -> StoredColumn | None:
        found = self._known(key, section)
        if section is None or found is None:
            return None
        if isinstance(found.made, char_digest_like.CharDigestLike):
            self.unfit(key, section, "finds other values too", "use it for likeQuery")
            return None
        made: Encryptor | None = found.made  # type: ignore[assignment]
        return (
            None
            if made is None
            else StoredColumn(section.name, made, f"{section.encryptor_name}: {found.written}")
        )

    def like(self, column: EncryptedColumnSection) -> LikeColumn | None:
        section = column.like_query
        found = self._known("likeQuery", section)
        if section is None or found is None or found.made is None:
            return None
        if not isinstance(found.made, char_digest_like.CharDigestLike):
            self.unfit("likeQuery", section, "is of no use to LIKE", "use CHAR_DIGEST_LIKE")
            return None
        return LikeColumn(section.name, found.made, f"{section.encryptor_name}: {found.written}")

    def _known(self, key: str, section: StoredColumnSection | None) -> _Known | None:
        if section is None:
            return None
        found = self.known.get(section.encryptor_name)
        if found is None:
            path = (*self.place, key, "encryptorName")
            report_unknown(self.source, path, "encryptor", section.encryptor_name, self.known)
        return found


def _check_names(source: SourceFile, path: Path, columns: Collection[EncryptedColumn]) -> None:
    """No two values may be kept in one column."""
    owners: dict[str, str] = {}
    logic = {column.name.lower() for column in columns}
    for column in columns:
        for name in column.stored:
            lowered = name.lower()
            own = lowered == column.name.lower()
            if lowered in owners or (own and column.plain) or (lowered in logic and not own):
                source.report(
                    (*path, "columns", column.name),
                    f"the column '{name}' has another use already",
                    "rename it",
                )
            owners[lowered] = column.name


def _check_others(
    source: SourceFile,
    path: Path,
    columns: Collection[EncryptedColumn],
    table: TableRule | None,
    masks: MaskedTable | None,
) -> None:
    """What other rules do with the columns."""
    sharded = set[str]()
    if isinstance(table, ShardedTable):
        sharded = {*table.sharding_columns, (table.key_column or "").lower()}
    masked = {column.name.lower() for column in masks.columns} if masks is not None else set[str]()
    for column in columns:
        place: Path = (*path, "columns", column.name)
        names = {column.name.lower(), *(name.lower() for name in column.stored)}
        if names & sharded:
            source.report(
                place,
                f"'{column.name}' decides where rows lie, or is generated",
                "shard by another column, or leave this one as it is",
            )
        if names & masked:
            source.report(
                place,
                f"'{column.name}' is masked too, and servers that mask know no plain text",
                "remove one of both rules",
            )
