"""dbmesh: a database mesh sidecar that speaks the MySQL protocol. ARCHITECTURE.md is the map of this house."""

__version__ = "0.1.0"
