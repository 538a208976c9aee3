"""A reproducible benchmark of lightweight sleep-staging networks on Sleep-EDF."""

__version__ = "0.1.0"
