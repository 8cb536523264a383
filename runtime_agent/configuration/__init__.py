"""Desired configuration on this machine: fetched, tried beside the last good one, kept or taken back."""
