"""Post-processing of finished predictions; its results have rows of their own.

No other number is computed from them.
"""
