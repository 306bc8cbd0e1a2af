"""Operating a running mesh: what it tells of itself and what it can be told, over HTTP and MySQL's protocol."""
