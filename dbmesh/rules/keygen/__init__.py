"""Key generators, one file each; clock and worker id come in as arguments."""
