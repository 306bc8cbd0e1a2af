"""The MySQL client/server protocol, both roles, without any I/O."""
