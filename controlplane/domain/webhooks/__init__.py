"""Whom a tenant's events are sent to: addresses, their secrets, and what became of each delivery.

At least once: a delivery is written down before it is sent, and sent again until somebody said that they have it.
"""
