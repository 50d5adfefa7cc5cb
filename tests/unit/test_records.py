"""Records are immutable and told apart by kind and content."""

from __future__ import annotations

import pytest

from workerkit.records import Record


class Moved(Record):
    """From one place to another."""

    origin: str
    target: str


class Copied(Record):
    """As ``Moved``, but another kind."""

    origin: str
    target: str


class Rested(Record):
    """Has no fields."""


class Slept(Rested):
    """Adds a field to those of its base."""

    hours: int


def test_fields_are_given_by_position_or_by_name() -> None:
    """Both ways make the same record, in any order of names."""
    records = [Moved("a", "b"), Moved("a", target="b"), Moved(target="b", origin="a")]

    assert [(record.origin, record.target) for record in records] == [("a", "b")] * 3
    assert records == [records[0]] * 3
    assert len(set(records)) == 1


def test_records_of_different_kinds_differ() -> None:
    """The same fields do not make the same record; neither do none at all."""
    assert Moved("a", "b") != Copied("a", "b")
    assert Moved("a", "b") != Moved("b", "a")
    assert Rested() != Slept(8)
    assert Rested() == Rested()
    assert len({Moved("a", "b"), Copied("a", "b"), Rested()}) == 3


def test_a_record_is_matched_by_position() -> None:
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


def test_a_record_cannot_be_changed() -> None:
    """No field can be set or deleted, nor one added."""
    record = Moved("a", "b")
    for change in (
        lambda: setattr(record, "origin", "c"),
        lambda: setattr(record, "more", "c"),
        lambda: delattr(record, "origin"),
    ):
        with pytest.raises(AttributeError, match=r"cannot be (changed|deleted)$"):
            change()

    assert record == Moved("a", "b")


def test_a_record_shows_its_fields() -> None:
    """The repr could have made it."""
    assert repr(Moved(target="b", origin="a")) == "Moved(origin='a', target='b')"
    assert repr(Rested()) == "Rested()"


class Sent(Moved):
    """Has fields that need not be given."""

    by: str = "post"
    heavy: bool = False


def test_fields_may_have_defaults() -> None:
    """What is not given is what the class says, and counts like what is given."""
    assert Sent("a", "b") == Sent("a", "b", "post", heavy=False)
    assert Sent("a", "b", heavy=True).by == "post"
    assert vars(Sent("a", "b", "ship")) == {"origin": "a", "target": "b", "by": "ship", "heavy": False}
    with pytest.raises(TypeError, match=r"^Sent takes \(origin, target, by, heavy\)"):
        Sent("a", by="post")  # type: ignore[call-arg]


def test_another_record_may_differ_in_some_fields() -> None:
    """The one that there is stays as it is; a field that there is not is refused."""
    record = Sent("a", "b", "ship")

    assert record.replace(target="c") == Sent("a", "c", "ship")
    assert record == Sent("a", "b", "ship")
    with pytest.raises(TypeError, match=r"^Sent takes"):
        record.replace(colour="red")
