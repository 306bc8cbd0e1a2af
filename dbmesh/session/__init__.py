"""One client's state and what its commands do."""
