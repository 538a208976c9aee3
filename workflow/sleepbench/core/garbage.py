"""Python's search for objects that nobody uses but themselves."""

import gc


def expect_many_objects() -> None:
    """Search seldom from now on: where millions of objects are made that all stay, searching takes half of the time."""
    gc.set_threshold(100_000, 50, 1000)
