"""The name that is suggested for one that is not known."""

import pytest

from sleepbench.core.errors import most_alike, nearest
from sleepbench.models import model_names


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("ulw", "ulw_sleepnet"), ("ULW_sleepnet", "ulw_sleepnet"), ("ulw_slepnet", "ulw_sleepnet"), ("eegnt", "eegnet")],
)
def test_a_model_is_suggested_that_was_meant(name, suggested):
    assert most_alike(name, model_names()) == suggested


def test_the_known_names_are_listed_in_alphabetical_order():
    assert nearest("cleen", ["released", "clean"]) == "the nearest known name is 'clean' (known: clean, released)"
    assert nearest("a", []) == "none is known"


def test_of_a_set_the_suggestion_is_the_same_whatever_its_order():
    assert nearest("a", {f"a{letter}" for letter in "zyxwvutsrqponmlkjihgfedcb"}).startswith(
        "the nearest known name is 'ab'"
    )
