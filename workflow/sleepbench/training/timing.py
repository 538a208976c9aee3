"""Where the time of a training goes: waiting for data, optimizer steps, evaluation."""

import time

WAITING, TRAINING, EVALUATION = "waiting_for_data_s", "training_s", "evaluation_s"


class Timing:
    """A stopwatch that is stopped lap by lap.

    totals : seconds of each kind of lap, and the epochs of 30 s that were trained and evaluated: as often as they were,
        those that do not count in a sequence left out. What a killed process did after its last checkpoint is not in.
    """

    def __init__(self, job_started: float | None = None):
        """`job_started`, a time of the system's clock, is when the process began that takes the first step."""
        self.totals = {WAITING: 0.0, TRAINING: 0.0, EVALUATION: 0.0, "epochs_trained": 0, "epochs_evaluated": 0}
        self._job_started = time.time() if job_started is None else job_started
        self._to_first_step_s: float | None = None
        self._mark = time.monotonic()

    def start(self) -> None:
        """What was done since the last lap is counted nowhere."""
        self._mark = time.monotonic()

    def lap(self, kind: str, trained: int = 0, evaluated: int = 0) -> None:
        """Count the seconds since the last lap as `kind`.

        `trained` and `evaluated` are the numbers of epochs that were trained and evaluated in them.
        """
        now = time.monotonic()
        self.totals[kind] += now - self._mark
        self.totals["epochs_trained"] += trained
        self.totals["epochs_evaluated"] += evaluated
        self._mark = now
        if kind == TRAINING and self._to_first_step_s is None:
            self._to_first_step_s = time.time() - self._job_started

    def resume(self, totals: dict[str, float] | None) -> None:
        """Add what was counted before a training was interrupted; None where nothing was."""
        for name, total in (totals or {}).items():
            self.totals[name] += total

    def record(self, n_folds: int = 1) -> dict[str, float | int | None]:
        """The totals, and the seconds from the start of the process to the end of its first step.

        For a resumed training that is the last process. The totals are divided by `n_folds`, the number trained at
        once.
        """
        seconds = {name: round(value / n_folds, 6) for name, value in self.totals.items()}
        first = self._to_first_step_s
        return seconds | {"to_first_step_s": None if first is None else round(first, 3)}
