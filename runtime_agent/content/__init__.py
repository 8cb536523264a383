"""Checkpoint content: taken from the source's files, cut into chunks, sealed where it is to be, and brought beside the log."""
