"""The names of what a job leaves behind, without anything that computes."""

DOCUMENT = "cross.json"
FOLD = "fold_"
"""What the columns begin with that have the stages which the network of one fold predicts."""
AS_IS, SCALED, ADABN, FINETUNED = "as_is", "scaled", "adabn", "finetuned_"
"""The ways in which networks are tested; of the last one with the number of people that they are trained on."""
