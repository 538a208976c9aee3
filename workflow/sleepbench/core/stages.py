"""Sleep stages and the 30-s epoch, shared by every part of the benchmark."""

STAGES = ("W", "N1", "N2", "N3", "REM")
"""AASM stage names; a stage's code is its position here."""

W, N1, N2, N3, REM = range(5)
MOVEMENT = 5
UNKNOWN = 6

EPOCH_SECONDS = 30
SAMPLING_RATE = 100
SAMPLES_PER_EPOCH = EPOCH_SECONDS * SAMPLING_RATE
