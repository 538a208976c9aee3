"""Simulated nights in the files of other databases, one module a database.

The sleep, its waves and its EMG are those of the simulated cassette nights (`simulation.cohort`), calibrated to
Sleep-EDF and to nothing else: what is like the database is the files alone – their names, channels, rates, units,
scorings and oddities, as far as these are known. **Results on them are never results on the database**, and every file
says that it is simulated.
"""
