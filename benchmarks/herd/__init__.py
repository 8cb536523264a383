"""Ten thousand runtimes against one replica: keys, tokens and HTTP are real, what runs behind them is not.

``python -m benchmarks.herd`` (``make herd``) starts PostgreSQL, Redis and one server, has the runtimes live in processes
of their own, goes through the phases and prints one JSON line for each.
"""
