"""Mirroring: a part of the statements is run a second time in another logic database, and the answers are compared."""
