"""What a reshard job will do, and what stands in its way, before anything has changed."""
