"""Budgets: how much may be used in a period, leased to runtimes in advance so that they keep to it by themselves.

Only rows of slices say what was leased and used; what there is of a budget is computed from them, under its lock.
"""
