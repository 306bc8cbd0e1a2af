"""Whether the C implementation of mysql-connector can be used in this process.

Its wheel brings an OpenSSL of its own, newer than many systems': where Python's `ssl` has loaded the system's
library first, the extension cannot be loaded any more. A process that loads it first can use it.
"""

from __future__ import annotations


def c_extension_loads() -> bool:
    """True when `use_pure=False` works here."""
    try:
        import _mysql_connector  # noqa: F401
    except ImportError:
        return False
    return True
