"""Checkpoint content: what projects let leave, the chunks that came, how long they stay, and what is read from them.

The manifest of a checkpoint's content comes with the log; its chunks come beside it, each known by the SHA-256 of its
bytes, and are kept once a tenant in the object store. Content can be restored once all its chunks are committed.
"""
