import pytest
from edf_files import CHANNELS, write_psg
from fake_bundles import MONTAGE

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment.channels import choose_channels, parse_map
from sleepbench.signals.edf import read_header


def chosen(tmp_path, labels, mapping=None, montage=MONTAGE):
    path = write_psg(tmp_path / "psg.edf", 1, units=("uV",) * len(labels), labels=labels, rates=(1,) * len(labels))
    return list(choose_channels(path, read_header(path), montage, mapping or {}).values())


def error_of(*arguments, **options):
    with pytest.raises(BenchmarkError) as error:
        chosen(*arguments, **options)
    return str(error.value)


def test_channels_of_the_training_are_found_in_any_order(tmp_path):
    assert chosen(tmp_path, CHANNELS[::-1]) == list(CHANNELS)


@pytest.mark.parametrize("labels", [("fpz_cz", "EEG PZ OZ", "HEOG", "Chin EMG"), ("EEG1", "eeg 2", "EOG", "EMG")])
def test_channels_go_by_other_names_and_by_their_roles(tmp_path, labels):
    assert chosen(tmp_path, labels) == list(labels)


def test_a_name_that_is_exact_wins_over_one_that_is_alike(tmp_path):
    assert chosen(tmp_path, ("Fpz-Cz", *CHANNELS)) == list(CHANNELS)


def test_a_channel_that_is_named_wins_over_all(tmp_path):
    labels = (*CHANNELS, "EEG C4-M1")
    assert chosen(tmp_path, labels, {"eeg1": "EEG C4-M1"})[0] == "EEG C4-M1"


def test_another_derivation_is_not_guessed(tmp_path):
    said = error_of(tmp_path, ("EEG C4-M1", *CHANNELS[1:]))
    assert "has no channel 'EEG Fpz-Cz' (did you mean " in said and "'EEG C4-M1'" in said
    assert said.endswith("it is for eeg1: name the file's channel by --map eeg1=LABEL")


def test_of_several_that_may_be_meant_none_is_taken(tmp_path):
    assert "'Fpz-Cz', 'fpz cz' may all be 'EEG Fpz-Cz'" in error_of(tmp_path, ("Fpz-Cz", "fpz cz", *CHANNELS[1:]))


def test_two_channels_of_one_name_are_told_apart_by_no_map(tmp_path):
    said = error_of(tmp_path, (CHANNELS[0], *CHANNELS))
    assert said.endswith("has 2 channels called 'EEG Fpz-Cz', expected one; rename or drop one; it is for eeg1")
    assert chosen(tmp_path, (CHANNELS[0], *CHANNELS, "Fpz"), {"eeg1": "Fpz"})[0] == "Fpz"


def test_a_channel_has_one_role(tmp_path):
    said = error_of(tmp_path, CHANNELS, {"eeg2": "EEG Fpz-Cz"})
    assert "'EEG Fpz-Cz' would be both eeg1 and eeg2" in said


def test_a_named_channel_that_is_not_there_has_the_nearest_name(tmp_path):
    said = error_of(tmp_path, CHANNELS, {"eog": "EOG horizontl"})
    assert "did you mean 'EOG horizontal'?" in said


def test_a_map_is_read():
    assert parse_map(["eeg1=EEG Fpz-Cz", "emg= EMG=x "], MONTAGE) == {"eeg1": "EEG Fpz-Cz", "emg": "EMG=x"}


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (["eeg1"], "expected ROLE=LABEL"),
        (["=x"], "expected ROLE=LABEL"),
        (["eeg1= "], "expected ROLE=LABEL"),
        (["eeg3=x"], "no role 'eeg3'; the nearest known name is 'eeg"),
        (["eeg1=x", "eeg1=y"], "eeg1 is given as 'x' and as 'y'"),
    ],
)
def test_a_wrong_map_is_named(terms, said):
    with pytest.raises(BenchmarkError, match=said):
        parse_map(terms, MONTAGE)
