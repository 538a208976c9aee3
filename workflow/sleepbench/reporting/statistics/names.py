"""Names in the files of statistics, for what reads these files and needs no statistics to be computed."""

NETWORK = ("title", "channels", "recipe")
"""What tells networks apart."""

OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa")
"""Metrics of each subject and each group of subjects."""

CALIBRATION = "expected_calibration_error"
MEAN_OF_FOLDS = "accuracy_mean_of_folds"
