"""A generated EngineX home that looks like work: for ``up --demo``, tests and benchmarks.

It writes what the runtime would write, the way it would, and needs nothing of the server. Everything in it is made up.
"""
