"""Finished trainings: their files, MLflow, archives, where a number is from."""
