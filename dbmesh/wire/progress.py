"""Where a walk through an answer has stopped. Decides nothing."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Progress(IntEnum):
    """Where a step of the reader stopped."""

    NEED_DATA = 0
    RESULT_END = 1
    ANSWER_END = 2
    LOCAL_INFILE = 3
    """The server waits for a file (named in `terminal`). Send an empty packet, then `start` with SIMPLE."""


NEED_DATA: Final = Progress.NEED_DATA
RESULT_END: Final = Progress.RESULT_END
ANSWER_END: Final = Progress.ANSWER_END
LOCAL_INFILE: Final = Progress.LOCAL_INFILE
