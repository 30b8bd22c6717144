"""History through the same engine: fast replay, strategies, statistics and the report. Nothing here ever reaches a venue."""
