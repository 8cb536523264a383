"""Desired configuration: what runtimes are to be like, how that gets to them, and what they say of it.

Documents are merged for each runtime; every change is rolled out in waves; what a runtime could not take, it has told.
"""
