"""Logs on demand: while somebody looks, and this machine's owner lets them, the lines of a log go up."""
