"""The dbmesh command."""
