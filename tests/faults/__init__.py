"""The real programs under kill -9: whatever is killed, and whenever, every record is applied once.

``schedule`` deals the faults from a seed, ``run`` puts them to work on ``server`` and ``agent`` with ``proxy`` between
them while ``writer`` writes a home, and ``verdict`` compares what the server holds with what was ever written.
"""
