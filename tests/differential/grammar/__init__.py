"""Random statements over all of SELECT and the writes, from a seed."""
