"""Python's collector of cyclic garbage, told how we work."""

import gc


def calm() -> None:
    """Look for cyclic garbage less often: a batch makes thousands of objects and no cycle (half its time, measured)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
