"""What is compared, and how it is printed."""

from collections.abc import Callable

import numpy as np
import torch
from parity.names import Names
from parity.other import Arrays, Other, ProgramError
from torch import nn

from sleepbench.profiling.parity import (
    Ours,
    Program,
    Reference,
    Shape,
    drawn_input,
    drawn_state,
    norms_and_projections,
    output_weights,
)


class Comparison:
    """Our network and another program, with the same drawn weights."""

    def __init__(self, ours: Ours, theirs: Other, names: Names, seed: int, amplitude: float):
        self.ours, self.theirs, self.names, self.seed, self.amplitude = ours, theirs, names, seed, amplitude
        self.found: dict[str, float] = {}
        self.kept: dict[str, object] = {}

    def run(self, shape: Shape, other_lengths: list[int]) -> dict[str, float]:
        """Compare everything that both can do; relative differences by what they are of."""
        x = drawn_input(shape, self.seed, self.amplitude)
        self._load()
        output = self.theirs.outputs(x)
        our_output = self.ours.outputs(x)
        if our_output.shape != output.shape:
            raise ProgramError(
                f"theirs gives outputs of the shape {output.shape}, expected {our_output.shape}: "
                "let the factory return something that brings them to it"
            )
        self._compare("outputs", our_output, output)
        spread = np.ptp(output.reshape(-1, output.shape[-1]), axis=0).max()
        if spread < 5e-3 * np.abs(output).max():
            print(f"WARNING: outputs hardly depend on the input, they spread by {spread:.1e}: take another --seed")
        for length in other_lengths:
            other = drawn_input((shape[0], length, *shape[2:]), self.seed, self.amplitude)
            self._compare(f"outputs, {length} epochs", self.ours.outputs(other), self.theirs.outputs(other))
        if self.ours.module.carries_state() and hasattr(self.theirs, "carried"):
            self.kept["output_carried"] = self.theirs.carried(x)
            self._compare("outputs, state carried on", self.ours.carried(x), self.kept["output_carried"])
        weights = output_weights(output.shape, self.seed)
        our_output, our_gradients, our_statistics = self.ours.trained(x, weights)
        output_training, gradients, statistics = self.theirs.trained(x, weights)
        self._compare("outputs in training", our_output, output_training)
        gradients = self.names.to_ours(gradients)
        self._gradients(our_gradients, gradients)
        self._statistics(our_statistics, self.names.to_ours(statistics))
        if isinstance(self.theirs, Program):
            self._load()
            ours, theirs = (self._dropped(one, x) for one in (self.ours, self.theirs))
            self._compare("outputs with dropout, same seed", ours, theirs)
        norms, projections = norms_and_projections(gradients, self.seed)
        self.kept |= {
            "shape": shape,
            "output": output,
            "output_training": output_training,
            "gradient_names": tuple(sorted(gradients)),
            "gradient_norms": norms,
            "gradient_projections": projections,
        }
        return self.found

    def reference(self, **said: str) -> Reference:
        """What theirs gave, to be kept, with what is said of it."""
        return Reference(seed=self.seed, amplitude=self.amplitude, **said, **self.kept)

    def _load(self) -> None:
        state = drawn_state(self.ours.shapes(), self.seed)
        self.ours.load(state)
        self.theirs.load(self.names.to_theirs(state))

    def _compare(self, what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        largest, scale = np.abs(ours - theirs).max(), np.abs(theirs).max()
        self.found[what] = largest / (scale or 1.0)
        print(f"{what:34s} {largest:8.1e} of {scale:9.3g}   relative {self.found[what]:8.1e}")

    def _gradients(self, ours: Arrays, theirs: Arrays) -> None:
        if missing := sorted(ours.keys() - theirs.keys()):
            print(f"no gradient of theirs by {', '.join(missing)}")
        scale = max(np.abs(array).max() for array in theirs.values())
        of_all = {name: np.abs(ours[name] - array).max() / scale for name, array in theirs.items()}
        of_own = {
            name: np.abs(ours[name] - array).max() / np.abs(array).max()
            for name, array in theirs.items()
            if np.abs(array).max() > 1e-6 * scale
        }
        worst = max(of_own, key=of_own.get)
        self.found["gradients"] = max(of_all.values())
        print(f"{f'gradients by {len(theirs)} parameters':34s} {'':11s} {scale:9.3g}   relative", end="")
        print(f" {self.found['gradients']:8.1e}; to its own scale {of_own[worst]:.1e}, {worst}")

    def _statistics(self, ours: Arrays, theirs: Arrays) -> None:
        if theirs:
            name, far = max(
                ((n, np.abs(ours[n] - array).max() / np.abs(array).max()) for n, array in theirs.items()),
                key=lambda one: one[1],
            )
            self.found["statistics"] = far
            print(f"{'moving statistics after it':34s} {'':21s}   relative {far:8.1e}, {name}")

    def _dropped(self, program: Program, x: np.ndarray) -> np.ndarray:
        program.module.train()
        torch.manual_seed(self.seed)
        with torch.no_grad():
            return program.module(torch.as_tensor(x).to(program.dtype)).double().numpy()


def compare_initial(
    build_ours: Callable[[], nn.Module], build_theirs: Callable[[], nn.Module], names: Names, n: int
) -> dict[str, float]:
    """p of two-sample tests of n networks' initial values; of constants, whether they are equal."""
    from scipy.stats import ks_2samp

    def drawn(build: Callable[[], nn.Module], seed: int) -> Arrays:
        torch.manual_seed(seed)
        return {name: tensor.double().numpy() for name, tensor in build().state_dict().items()}

    ours = [drawn(build_ours, seed) for seed in range(n)]
    theirs = [names.to_ours(drawn(build_theirs, seed)) for seed in range(n)]
    found = {}
    for name in theirs[0]:
        a, b = (np.concatenate([one[name].ravel() for one in many]) for many in (ours, theirs))
        found[name] = float(np.array_equal(a, b)) if np.ptp(b) == 0 else ks_2samp(a, b, method="asymp").pvalue
        if found[name] < 1e-3:
            print(f"  initial {name}: p {found[name]:.1e}, deviation {a.std():.4g}, theirs {b.std():.4g}")
    print(f"{'initial values':34s} {len(found)} tensors of {n} networks, smallest p {min(found.values()):.3g}")
    return found
