"""Secrets that stand in a configuration's files in clear text, where they should be references.

Decides what counts as one. Files that are kept where others read them, in the store of a mesh, must have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from dbmesh.rules.mistakes import Mistake
from dbmesh.rules.source import Path, SourceFile, key_path, read_source

_REFERENCE: Final = re.compile(r"(\$\{(env|file|command):[^}]*\})*")
_HASH: Final = re.compile(r"\*[0-9A-Fa-f]{40}|\$A\$\d{3}\$.+", re.DOTALL)
_FIX: Final = "write ${env:NAME} or ${file:path}"
_KEY_FIX: Final = f"{_FIX}, or ${{command:…}}"


def clear_secrets(files: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Every password and key of these files (name → text) that is neither a reference nor, for accounts of clients, a hash. The files
    have been validated."""
    found: list[Mistake] = []
    for name in sorted(files):
        source = read_source(name, files[name])
        for path, fix, what in [*((*one, "password") for one in _clear(source)), *_clear_keys(source)]:
            text = f"a {what} in clear text would be kept in the store"
            found.append(Mistake(name, source.line(path), key_path(path), text, fix))
    return tuple(found)


def secret_paths(source: SourceFile) -> Iterator[Path]:
    """Where secrets of a file stand in clear text."""
    yield from (path for path, _ in _clear(source))
    yield from (path for path, _, _ in _clear_keys(source))


def _clear(source: SourceFile) -> Iterator[tuple[Path, str]]:
    value = source.value
    for name, section in _items(value, "dataSources"):
        if not is_reference(str(section.get("password") or "")):
            yield ("dataSources", name, "password"), _FIX
        if not is_reference(_password_of(str(section.get("url") or ""))):
            yield ("dataSources", name, "url"), "name the account by username and password"
    authority = _at(value, "authority")
    users = authority.get("users")
    for index, user in enumerate(users if isinstance(users, list) else ()):
        password = str(user.get("password") or "") if isinstance(user, dict) else ""
        if not is_reference(password) and not _HASH.fullmatch(password):
            yield ("authority", "users", index, "password"), f"{_FIX}, or a hash: * and 40 hex digits"
    for name, text in _at(_at(_at(value, "mode"), "repository"), "props").items():
        if "password" in name.lower() and not is_reference(str(text or "")):
            yield ("mode", "repository", "props", name), _FIX


def _clear_keys(source: SourceFile) -> Iterator[tuple[Path, str, str]]:
    """Keys and salts of encryptors."""
    rules = source.value.get("rules") if isinstance(source.value, dict) else None
    for index, item in enumerate(rules if isinstance(rules, list) else ()):
        if source.tags.get(("rules", index)) != "!ENCRYPT":
            continue
        for name, section in _items(item, "encryptors"):
            place: Path = ("rules", index, "encryptors", name)
            for secret in ("aes-key-value", "salt"):
                if not is_reference(str(_at(section, "props").get(secret) or "")):
                    yield (*place, "props", secret), _KEY_FIX, "key"
            keys = section.get("keys")
            for number, key in enumerate(keys if isinstance(keys, list) else ()):
                if isinstance(key, dict) and not is_reference(str(key.get("value") or "")):
                    yield (*place, "keys", number, "value"), _KEY_FIX, "key"


def is_reference(password: str) -> bool:
    """Whether a text only says where the secret is, or is none."""
    return _REFERENCE.fullmatch(password) is not None


def _password_of(url: str) -> str:
    split = urlsplit(url.removeprefix("jdbc:"))
    return split.password or dict(parse_qsl(split.query, keep_blank_values=True)).get("password", "")


def _at(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _items(value: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((name, section) for name, section in _at(value, key).items() if isinstance(section, dict))
