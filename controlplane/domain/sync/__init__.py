"""Taking in what runtimes report, exactly once: Runtime Sync v1, the log lane.

A batch is read (``batches``), placed behind what is held (``log``), kept as it came and projected (``projections``).
``recovery`` answers an agent that has lost its place.
"""
