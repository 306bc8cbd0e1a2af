"""Says of a server's error which data source it is of: whoever reads why a job does not go on has many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dbmesh.errors import ShardError


class SourceError(ShardError):
    """An error of a data source that is named in its text."""

    def __init__(self, source: str, error: ShardError) -> None:
        super().__init__(error.number, error.sqlstate, f"{source}: {error.message}")


@contextmanager
def errors_of(source: str) -> Iterator[None]:
    """What is raised inside is of this data source, unless it says already of which it is. Raises SourceError."""
    try:
        yield
    except SourceError:
        raise
    except ShardError as error:
        raise SourceError(source, error) from error
