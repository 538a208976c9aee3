"""What may be done to finished predictions: its results have rows of their own and enter no other number."""
