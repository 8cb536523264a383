"""A campaign of random schedules: the faults of the protocol's model, against the real programs.

``deal`` makes a schedule of a seed, ``play`` carries it out on ``server`` and ``agents`` with ``network`` between them, and
``oracle`` knows from the home and the disks alone what must be true in the end. ``lanes`` play many at the same time;
``nursery`` has their processes, which run what is in ``programs``, start in milliseconds.
"""
