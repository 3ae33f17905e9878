"""The words of the house."""

from hypothesis import given
from hypothesis import strategies as st

from likewise.domain import Item, Kind, Rating, Value, items_of

_PIECES = st.sampled_from(
    ["1", "23", "pl.u-1", "ra.9", "i.a1", "l.b2", "p.c3", "", ",", "1,2", "i.a,i.b", "٣", "x", "1" * 21]
)


@given(kind=st.sampled_from(Kind), ids=st.lists(_PIECES | st.text(max_size=5), max_size=6))
def test_of_many_ids_those_are_named_that_are_well_formed_one_by_one(kind, ids):
    assert items_of(kind, ids) == [Item(kind, id) for id in ids if kind.has_id(id)]


def test_a_rating_shows_itself_shortly():
    rating = Rating(Item(Kind.SONG, "1"), Value.LIKE, 0)

    assert repr(rating) == "Rating(item=Item(kind=Kind.SONG, id='1'), value=<Value.LIKE: 1>, time=0)"
