"""What the user probably meant."""

from __future__ import annotations

import pytest

from workerkit.spelling import by_likeness, did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "cutoff", "meant"),
    [("gevnt", 0.6, "gevent"), ("gevnt", 0.95, None), ("zzz", 0.6, None), ("sync", 1.0, "sync")],
)
def test_the_nearest_word_is_found(word, cutoff, meant):
    """The word most like the given one comes back if it is like enough."""
    assert nearest(word, iter(["gevent", "sync", "eventlet"]), cutoff) == meant


def test_all_words_can_be_put_in_order_of_likeness():
    """Without a cutoff every word stays, the likeliest first; no words give no words."""
    assert by_likeness("ap", ["zebra", "app"]) == ["app", "zebra"]
    assert by_likeness("ap", []) == []


def test_a_suggestion_ends_a_message():
    """There is a suggestion or nothing."""
    assert (did_you_mean("app"), did_you_mean(None)) == ("; did you mean 'app'?", "")
