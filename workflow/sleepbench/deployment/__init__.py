"""What was trained, put to use: bundles of networks, nights scored by them, and other forms of a network."""
