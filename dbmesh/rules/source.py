"""YAML texts to plain values that remember their lines.

Decides how a file is read: scalars stay texts as written (so a password 0123 keeps its zero), null is None, a tag like
`!SHARDING` is kept beside its value. Duplicate keys are mistakes. Knows nothing of which keys exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dbmesh.rules.mistakes import Mistake

Path = tuple[str | int, ...]

_MOST_NODES = 200_000


@dataclass(slots=True)
class SourceFile:
    """One file's value, the line of every key path, and the tag of every tagged value.

    `broken` names entries that were left out because of a reported mistake: a reference to one is no further mistake.
    """

    name: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    tags: dict[Path, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest part of it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: Path, message: str, fix: str) -> None:
        """Remembers a mistake at a path."""
        self.mistakes.append(Mistake(self.name, self.line(path), key_path(path), message, fix))


def key_path(path: Path) -> str:
    """A path as operators read it: `rules[0].tables.t_order`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_source(name: str, text: str) -> SourceFile:
    """The value of a YAML text. What cannot be read is among its mistakes."""
    source = SourceFile(name)
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        problem = error.problem or "it cannot be read"
        source.mistakes.append(
            Mistake(name, line, "", f"not YAML: {problem}", "correct the indentation or the quotes")
        )
        return source
    except (yaml.YAMLError, RecursionError) as error:
        source.mistakes.append(
            Mistake(name, 0, "", f"not YAML: {str(error).splitlines()[0]}", "save it as UTF-8 text")
        )
        return source
    if not documents or documents[0] is None:
        source.mistakes.append(Mistake(name, 0, "", "the file is empty", "write its keys or remove the file"))
        return source
    if len(documents) > 1:
        line = documents[1].start_mark.line + 1
        source.mistakes.append(Mistake(name, line, "", "a second document begins here", "keep one per file"))
    _Reader(source).read_into(documents[0])
    return source


class _Reader:
    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._nodes = 0

    def read_into(self, node: yaml.Node) -> None:
        self._source.lines[()] = node.start_mark.line + 1
        try:
            self._source.value = self._value(node, ())
        except _TooLarge as error:
            self._source.report((), str(error), "remove the YAML aliases")

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > 50:
            raise _TooLarge("the file is too large or its aliases form a loop")
        if node.tag.startswith("!"):
            self._source.tags[path] = node.tag
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._located(item, (*path, index), item) for index, item in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:null" or (node.tag.startswith("!") and node.value == ""):
            return None
        return node.value

    def _located(self, node: yaml.Node, path: Path, key: yaml.Node) -> Any:
        self._source.lines[path] = key.start_mark.line + 1
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own: dict[str, int] = {}  # what this mapping writes itself; merged keys may be overridden
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._source.report(
                    path, f"a key on line {key.start_mark.line + 1} is not a text", "write a plain key"
                )
                continue
            name = str(key.value)
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self._value(value, path)
                parts = merged if isinstance(merged, list) else [merged]
                for part in parts:
                    if isinstance(part, Mapping):
                        result = {**part, **result}
                continue
            if name in own:
                self._source.mistakes.append(
                    Mistake(
                        self._source.name,
                        key.start_mark.line + 1,
                        key_path((*path, name)),
                        "the key is written twice",
                        f"remove one; the other is on line {own[name]}",
                    )
                )
            own[name] = key.start_mark.line + 1
            result[name] = self._located(value, (*path, name), key)
        return result


class _TooLarge(Exception):
    """The document has more nodes than any configuration."""
