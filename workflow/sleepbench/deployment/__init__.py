"""What was trained, put to use: bundles of networks, nights scored by them, and other forms of a network."""

IN_C = "ulw_sleepnet"
"""The network of which C is written."""
