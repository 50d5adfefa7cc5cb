"""Facts are immutable and told apart by kind and content."""

from __future__ import annotations

import pytest

from workerkit.facts import Fact


class Moved(Fact):
    """From one place to another."""

    origin: str
    target: str


class Copied(Fact):
    """As ``Moved``, but another kind."""

    origin: str
    target: str


class Rested(Fact):
    """Has no fields."""


class Slept(Rested):
    """Adds a field to those of its base."""

    hours: int


def test_fields_are_given_by_position_or_by_name() -> None:
    """Both ways make the same fact, in any order of names."""
    facts = [Moved("a", "b"), Moved("a", target="b"), Moved(target="b", origin="a")]

    assert [(fact.origin, fact.target) for fact in facts] == [("a", "b")] * 3
    assert facts == [facts[0]] * 3
    assert len(set(facts)) == 1


def test_facts_of_different_kinds_differ() -> None:
    """The same fields do not make the same fact; neither do none at all."""
    assert Moved("a", "b") != Copied("a", "b")
    assert Moved("a", "b") != Moved("b", "a")
    assert Rested() != Slept(8)
    assert Rested() == Rested()
    assert len({Moved("a", "b"), Copied("a", "b"), Rested()}) == 3


def test_a_fact_is_matched_by_position() -> None:
    """Fields come in the order of their declaration, those of a base class first."""
    match Moved("a", "b"):
        case Moved(origin, target):
            assert (origin, target) == ("a", "b")
    assert Slept.__match_args__ == ("hours",)


@pytest.mark.parametrize(
    ("values", "named"),
    [(("a",), {}), (("a", "b", "c"), {}), (("a", "b"), {"target": "b"}), (("a",), {"origin": "b"}), ((), {"x": "y"})],
)
def test_each_field_is_given_once(values: tuple[str, ...], named: dict[str, str]) -> None:
    """Too few, too many, twice the same and unknown fields are refused, and the message lists those that there are."""
    with pytest.raises(TypeError, match=r"^Moved takes \(origin, target\)"):
        Moved(*values, **named)


def test_a_fact_cannot_be_changed() -> None:
    """No field can be set or deleted, nor one added."""
    fact = Moved("a", "b")
    for change in (
        lambda: setattr(fact, "origin", "c"),
        lambda: setattr(fact, "more", "c"),
        lambda: delattr(fact, "origin"),
    ):
        with pytest.raises(AttributeError, match=r"cannot be (changed|deleted)$"):
            change()

    assert fact == Moved("a", "b")


def test_a_fact_shows_its_fields() -> None:
    """The repr could have made it."""
    assert repr(Moved(target="b", origin="a")) == "Moved(origin='a', target='b')"
    assert repr(Rested()) == "Rested()"
