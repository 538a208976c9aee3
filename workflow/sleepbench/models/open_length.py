"""Parts of networks for sequences of any length, which can be exported with the length left open.

PyTorch then traces a network with a symbol in the length's place. A loop over steps has no end then, and lengths that
are rounded at every level of a U-Net become formulas that nobody can decide; here each is one operator instead. With
a known length, everything is as if it were written out.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

State = tuple[Tensor, Tensor]
"""Of a recurrent layer: its output and its cell, (..., n_hidden) each."""


def is_open(length: int | torch.SymInt) -> bool:
    """Whether a length is a symbol."""
    return isinstance(length, torch.SymInt)


def run_steps(step: Callable[..., State], state: State, *inputs: Tensor, dim: int) -> tuple[Tensor, State]:
    """The outputs of a recurrent layer, stacked along `dim`, and the state after the last step.

    step : the state after a step, from the state before it and each input of the step
    inputs : with the steps along `dim`
    """
    if is_open(inputs[0].shape[dim]):
        return _scan(step, state, *inputs, dim=dim)
    outputs = []
    for of_step in zip(*(one.unbind(dim) for one in inputs), strict=True):
        state = step(state, *of_step)
        outputs.append(state[0])
    return torch.stack(outputs, dim), state


def _scan(step: Callable[..., State], state: State, *inputs: Tensor, dim: int) -> tuple[Tensor, State]:
    from torch._higher_order_ops.scan import scan  # PyTorch has no public name for it

    def body(state: State, of_step: tuple[Tensor, ...]) -> tuple[State, Tensor]:
        after = step(state, *of_step)
        return after, after[0].clone()  # no two results may share memory, nor two parts of a state

    sequences = tuple(one.movedim(dim, 0) for one in inputs)
    state, outputs = scan(body, tuple(part.clone() for part in state), sequences)
    return outputs.movedim(0, dim), state


def evened(x: Tensor) -> Tensor:
    """(..., time) to an even length: a zero at the head of an odd one."""
    return torch.ops.sleepbench.evened(x) if is_open(x.shape[-1]) else functional.pad(x, (x.shape[-1] % 2, 0))


def cut_to(x: Tensor, like: Tensor) -> Tensor:
    """(..., time) to the length of `like`; what is too much is cut off at both ends, an odd sample at the tail."""
    return torch.ops.sleepbench.cut_to(x, like) if is_open(x.shape[-1]) else _middle(x, like.shape[-1])


def _middle(x: Tensor, length: int) -> Tensor:
    first = (x.shape[-1] - length) // 2
    return x[..., first : first + length]


@torch.library.custom_op("sleepbench::evened", mutates_args=())
def _evened(x: Tensor) -> Tensor:
    return functional.pad(x, (x.shape[-1] % 2, 0)).clone()


@_evened.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], torch.library.get_ctx().new_dynamic_size(min=2))


@torch.library.custom_op("sleepbench::cut_to", mutates_args=())
def _cut_to(x: Tensor, like: Tensor) -> Tensor:
    return _middle(x, like.shape[-1]).clone()


@_cut_to.register_fake
def _(x: Tensor, like: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], like.shape[-1])


EVENED, CUT_TO = torch.ops.sleepbench.evened.default, torch.ops.sleepbench.cut_to.default
"""What stands for `evened` and `cut_to` in a traced network."""
