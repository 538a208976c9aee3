import pytest

from sleepbench.benchmarks import inference
from sleepbench.cli import app

ONE = {"minimum_us": 900.0, "median_us": 1000.0, "cpu_minimum_us": 800.0, "cpu_median_us": 950.0, "runs": 400}
MEASURED = {
    "batches": {
        "1": {"eager": {**ONE, "cpu_median_us": 1900.0}, "fast": None, "onnxruntime": ONE, "ours": ONE},
        "10": {"eager": ONE, "fast": None, "onnxruntime": ONE, "ours": {**ONE, "cpu_median_us": 475.0}},
    },
    **{"length": 1, "model": "ulw_sleepnet", "n_channels": 4, "threads": 1, "hardware": "A Processor"},
    **{"torch": "2.13.0", "onnxruntime": "1.32.0", "disturbances": [], "attempts": 1},
}


def rows(text):
    return [line.split() for line in text.splitlines() if line.split()[0].isdigit()]


def test_table_has_cpu_and_clock_of_every_way(monkeypatch, capfd):
    asked = []
    monkeypatch.setattr(inference, "measure_latency", lambda *_, **settings: asked.append(settings) or MEASURED)
    with pytest.raises(SystemExit):
        app.main(["benchmark", "inference", "--batch", "10", "--batch", "1", "--rounds", "7"])
    out, _ = capfd.readouterr()
    assert asked == [{"runs": 7, "batches": [1, 10]}]
    assert "UNRELIABLE" not in out and "4 channels, 1 thread" in out
    assert rows(out)[0] == ["1", "eager", "800.0", "1,900.0", "900.0", "1,000.0", "400", "2.00"]
    assert rows(out)[1] == ["1", "fast", "–"]
    assert rows(out)[-1] == ["10", "ours", "80.0", "47.5", "90.0", "100.0", "400", "0.50"]


def test_a_sequence_is_divided_by_its_length():
    assert rows(inference.as_text({**MEASURED, "length": 2}))[0][2] == "400.0"


def test_what_was_disturbed_is_said():
    text = inference.as_text({**MEASURED, "disturbances": ["other processes used 1.50 cores"], "attempts": 3})
    assert "UNRELIABLE: other processes used 1.50 cores" in text.splitlines()[-1]
