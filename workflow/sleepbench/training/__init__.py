"""Training a model on one fold: recipes, the loop, the engines that run it."""
