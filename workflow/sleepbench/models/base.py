"""The contract of a model: what the benchmark asks of a network or an estimator beside its layers.

Names in a network's `state_dict` are an interface: weights that somebody keeps load in later versions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

State = tuple[Tensor, ...]


class Network(nn.Module):
    """A network; its constructor takes (n_channels, n_classes), its `forward` gives logits.

    `forward` maps (batch, n_channels, 3000) microvolts, transformed as the registry's entry says, to (batch,
    n_classes), or for a network of sequences (batch, length, n_channels, 3000) to (batch, length, n_classes). What
    follows need not be given: these defaults say that there is none of it.

    parameters_without_gradient : names of parameters that get no gradient
    parameters_without_gradient_in_training : endings of the names of those whose gradient a batch norm behind them
        takes away in training
    time_distributed : names of the parts that the network as published applies to each channel by TimeDistributed
    """

    parameters_without_gradient: ClassVar[Sequence[str]] = ()
    parameters_without_gradient_in_training: ClassVar[Sequence[str]] = ()
    time_distributed: ClassVar[Sequence[str]] = ()

    def forward_folds(self, state: Mapping[str, Tensor], x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Logits of several networks at once: (n_folds, batch, ...) -> (n_folds, batch, n_classes).

        The computation is arranged for speed.

        `state` is the networks' `state_dict`, each tensor stacked along a first axis of folds; the running statistics
        in it are updated in place. The mode and the dropout rates are this module's. In training, `counted` (n_folds,
        batch), bool, says which epochs a fold's batch consists of; None: all of them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no form for several folds; has_folds() says so")

    @classmethod
    def has_folds(cls) -> bool:
        """Whether there is a `forward_folds`, and with it a `forward_fast` that is not `forward`."""
        return cls.forward_folds is not Network.forward_folds

    def forward_fast(self, x: Tensor) -> Tensor:
        """`forward` with the same result but for rounding, as fast as there is a way."""
        if not self.has_folds():
            return self(x)
        state = {name: tensor.unsqueeze(0) for name, tensor in self.state_dict(keep_vars=True).items()}
        return self.forward_folds(state, x.unsqueeze(0)).squeeze(0)

    def forward_from(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """`forward` of sequences from a recurrent state, None for zeros, and the state after the last epoch.

        A state is tensors whose first axis is that of the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} carries no state; carries_state() says so")

    @classmethod
    def carries_state(cls) -> bool:
        """Whether there is a `forward_from`."""
        return cls.forward_from is not Network.forward_from

    def encode_epochs(self, x: Tensor) -> Tensor:
        """What a sequence is told of its epochs, whatever their neighbours: (n, n_channels, 3000) -> (n, n_features).

        The inference "fused" asks for it, and for `classify_encoded`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no encode_epochs(): take another inference")

    def classify_encoded(self, encoded: Tensor) -> Tensor:
        """Encoded epochs (batch, length, n_features) -> logits (batch, length, n_classes)."""
        raise NotImplementedError(f"{type(self).__name__} has no classify_encoded(): take another inference")

    def measure_input(self, epochs: Iterable[Tensor]) -> None:
        """Take statistics of the training set's epochs, batches of (n, n_channels, 3000), before the first step.

        What is taken is kept in buffers, with the weights. Most networks take none.
        """

    def l2_parameters(self) -> Sequence[str]:
        """Names of the parameters that a recipe's `l2` penalises."""
        return ()


class Estimator(Protocol):
    """A model that is not a network: it is fitted in a single call, on features that it computes itself.

    Its constructor takes (n_channels, n_classes), as a network's does.
    """

    def fit(self, signals: Callable[[np.ndarray], np.ndarray], stage: np.ndarray, seed: int) -> object:
        """Learn `stage` (n,) from the epochs whose signals `signals` gives for any indices below n."""

    def predict_proba(self, signals: np.ndarray) -> np.ndarray:
        """Stage probabilities (n, n_classes) of epochs (n, n_channels, 3000)."""
