"""A configuration file as it may be shown: its keys and values without its secrets.

Decides what is hidden. References to secrets (`${env:NAME}`) stay, since they tell none. Comments are lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from dbmesh.rules.secrecy import is_reference, secret_paths
from dbmesh.rules.source import Path, read_source

HIDDEN: Final = "******"
_SECRET: Final = re.compile(r"passw|secret|token|salt|key-value|-key\Z", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(//[^/@?#]*?:)[^@/?#]*@")
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)")
_WORDS: Final = {"true": True, "false": False}


def exported(name: str, text: str) -> str:
    """The file as YAML. O(text)."""
    source = read_source(name, text)
    shown = _Showing(frozenset(secret_paths(source)), source.tags).value(source.value, ())
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A value behind a tag."""

    tag: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Showing:
    secrets: frozenset[Path]
    tags: Mapping[Path, str]

    def value(self, value: Any, path: Path) -> Any:
        shown = self._plain(value, path)
        return _Tagged(self.tags[path], shown) if path in self.tags else shown

    def _plain(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self.value(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one, (*path, index)) for index, one in enumerate(value)]
        if not isinstance(value, str):
            return value
        if self._is_secret(path) and not is_reference(value):
            # Of an address only its password is one.
            return _url(value) if path[-1] == "url" else HIDDEN
        if path and path[-1] == "url":
            return _url(value)
        return int(value) if _NUMBER.fullmatch(value) else _WORDS.get(value, value)

    def _is_secret(self, path: Path) -> bool:
        return path in self.secrets or bool(path and _SECRET.search(str(path[-1])))


def _url(text: str) -> str:
    text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
    return re.sub(r"(?i)([?&;][^=&;]*passw[^=&;]*=)[^&;]*", rf"\1{HIDDEN}", text)


class _Dumper(yaml.SafeDumper):
    """Writes tags."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written where it is."""
        del data
        return True


def _represent(dumper: _Dumper, tagged: _Tagged) -> yaml.Node:
    node: yaml.Node = dumper.represent_data({} if tagged.value is None else tagged.value)
    node.tag = tagged.tag
    return node


_Dumper.add_representer(_Tagged, _represent)
