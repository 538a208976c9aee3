"""The architectures: one file each, listed in the registry.

Importing this package does not import PyTorch.
"""

from sleepbench.models.registry import ModelInfo, create_model, describe, model_names, model_source, model_sources

__all__ = ["ModelInfo", "create_model", "describe", "model_names", "model_source", "model_sources"]
