"""Follows what other processes write under a prefix of the store.

Decides what becomes of a store that cannot be read, or has forgotten what was asked for. What is read, its caller knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dbmesh.governance.store import Changes, Compacted, Store, StoreError

_log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds until a store that could not be read is asked again."""


async def follow(
    store: Store,
    prefix: str,
    look: Callable[[], Awaitable[None]],
    what: str,
    told: Callable[[Changes], bool] | None = None,
) -> None:
    """Call `look` now and after every change under a prefix, until the store is closed; `told` is given the change before, and says
    whether it is a reason to look. Never raises for a store that cannot be read: it is asked again, and the log told once that `what` cannot
    be read."""
    complained = False
    while True:
        try:
            after = (await store.range(prefix)).revision
            await look()
            complained = False
            async for changes in store.watch(prefix, after):
                if told is None or told(changes):
                    await look()
            return
        except Compacted:
            continue
        except StoreError as error:
            if not complained:
                _log.warning("%s cannot be read: %s", what, error)
            complained = True
            await asyncio.sleep(PAUSE)
