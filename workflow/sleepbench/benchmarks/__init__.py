"""What trainings take in time and memory."""
