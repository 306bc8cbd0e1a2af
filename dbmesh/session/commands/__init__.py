"""One file per command of the protocol."""
