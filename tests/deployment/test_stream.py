import io
import threading
import time

import numpy as np
import pytest
from fake_bundles import HMM, fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.deployment.scorer import Scorer
from sleepbench.deployment.stream import CausalSmoother, read_growing, read_input, stream
from sleepbench.postprocessing.hmm import HiddenMarkovModel

SIGNALS = np.random.default_rng(0).normal(0, 30, (4, 4, 3000)).astype("<f4")
SCORER = Scorer(fake_bundle())
MODEL = HiddenMarkovModel(*(np.array(HMM[part]) for part in ("initial", "transition", "emission")))


def interleaved(signals):
    return np.ascontiguousarray(signals.transpose(0, 2, 1)).tobytes()


def pieces(content, size):
    return (content[i : i + size] for i in range(0, len(content), size))


@pytest.mark.parametrize("size", [7, 4097, 10**6])
def test_a_stream_in_any_pieces_has_the_stages_of_its_epochs(size):
    found = list(stream(SCORER, pieces(interleaved(SIGNALS), size)))
    expected = np.concatenate([SCORER.predict(epoch[None]) for epoch in SIGNALS])
    assert np.allclose([one.probabilities for one in found], expected, atol=1e-6)
    assert [one.stage for one in found] == [STAGES[i] for i in expected.argmax(1)]
    assert [one.epoch for one in found] == [0, 1, 2, 3]


def test_a_stage_is_there_with_the_last_sample_of_its_epoch():
    content = interleaved(SIGNALS)
    size, given = len(content) // 4, []

    def source():
        for i, block in enumerate(pieces(content, size)):
            given.append(i)
            yield block

    SCORER.predict(SIGNALS[:1])
    for one in stream(SCORER, source()):
        assert given[-1] == one.epoch  # before anything of the next epoch is asked for


def test_what_fills_no_epoch_is_said():
    said = []
    assert len(list(stream(SCORER, pieces(interleaved(SIGNALS) + b"\0" * 1600, 5000), say=said.append))) == 4
    assert said == ["the last 1 s fill no epoch and are left out"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_microvolts_are_refused(value):
    wrong = SIGNALS.copy()
    wrong[1, 2, 5] = value
    with pytest.raises(
        BenchmarkError, match=r"epoch 1 of the stream .* float32, little-endian, in microvolts, 4 channels"
    ):
        list(stream(SCORER, pieces(interleaved(wrong), 10**6)))


def test_a_network_that_needs_the_whole_recording_is_refused():
    scorer = Scorer(fake_bundle("u_time", roles=("eeg1",)))
    with pytest.raises(BenchmarkError, match="U-Time sees signals in units of the whole recording's spread"):
        list(stream(scorer, iter([])))


def test_a_network_of_sequences_sees_the_epochs_before():
    scorer = Scorer(fake_bundle("nano_sleepnet_tcn_causal", roles=("eeg1",)))
    signals = SIGNALS.reshape(16, 1, 3000)[:12]
    found = [one.probabilities for one in stream(scorer, pieces(interleaved(signals), 10**6))]
    assert np.allclose(found[:10], scorer.predict(signals)[:10], atol=1e-5)
    assert np.allclose(found[11], scorer.predict(signals[2:])[-1], atol=1e-5)


def likeliest_by_hand(seen, upto):
    """The likeliest stage of each epoch given those up to `upto` after it, summed over every path."""
    import itertools

    stages = []
    for t in range(len(seen)):
        end = min(t + upto, len(seen) - 1)
        total = np.zeros(5)
        for path in itertools.product(range(5), repeat=end + 1):
            p = MODEL.initial[path[0]] * MODEL.emission[path[0], seen[0]]
            for i in range(1, end + 1):
                p *= MODEL.transition[path[i - 1], path[i]] * MODEL.emission[path[i], seen[i]]
            total[path[t]] += p
        stages.append(int(total.argmax()))
    return stages


@pytest.mark.parametrize("lag", [0, 1, 2, 9])
def test_smoothing_gives_the_likeliest_stage_by_what_was_seen_so_far(lag):
    seen = [0, 2, 0, 2, 2]
    smoother = CausalSmoother(MODEL, lag)
    found = [smoother.see(stage) for stage in seen]
    assert found[: min(lag, 5)] == [None] * min(lag, 5)
    assert [stage for stage in found if stage is not None] + smoother.rest() == likeliest_by_hand(seen, lag)


def test_with_a_lag_stages_come_later_and_all_of_them():
    plain = [one.stage for one in stream(SCORER, pieces(interleaved(SIGNALS), 10**6))]
    late = list(stream(SCORER, pieces(interleaved(SIGNALS), 10**6), lag=2))
    assert [one.epoch for one in late] == [0, 1, 2, 3] and len(plain) == 4


def test_standard_input_is_read_as_it_comes():
    assert b"".join(read_input(io.BufferedReader(io.BytesIO(b"abc" * 1000)), 100)) == b"abc" * 1000


def test_a_file_is_followed_while_it_grows(tmp_path):
    path = tmp_path / "samples.f32"
    content = interleaved(SIGNALS)
    path.write_bytes(content[:100_000])

    def write():
        with path.open("ab") as file:
            for block in pieces(content[100_000:], 50_000):
                time.sleep(0.01)
                file.write(block)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    found = b"".join(read_growing(path, idle_s=0.5))
    writer.join()
    assert found == content


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match="cannot be read"):
        list(read_growing(tmp_path / "none", 1))
