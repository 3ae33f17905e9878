"""What `likewise.store` promises of the names of items, on every adapter."""

import asyncio

import pytest

from likewise.domain import Clue, Item, ItemName, Kind, item_name_of
from likewise.errors import ListenerRemoved
from likewise.matching import match_key

SONG = Item(Kind.SONG, "1441164670")
OTHER_SONG = Item(Kind.SONG, "1441164671")
VIDEO = Item(Kind.MUSIC_VIDEO, "1441164670")
UPLOAD = Item(Kind.LIBRARY_SONG, "i.upload")
ISRC = "GBAYE6900522"
UUID = "b84ee12a-09ef-421b-82de-0441a926375b"
SOMETHING = ItemName(SONG, "Something", "The Beatles", "Abbey Road", ISRC, UUID)


def in_order(names: list[ItemName]) -> list[ItemName]:
    return sorted(names, key=lambda name: (name.item.kind.number, name.item.id))


async def test_what_was_learned_is_known(store, ada):
    await store.learn(None, [SOMETHING, ItemName(OTHER_SONG, "Oh! Darling")])

    found = await store.names(ada, [OTHER_SONG, SONG, VIDEO, UPLOAD])

    assert in_order(found) == in_order([SOMETHING, ItemName(OTHER_SONG, "Oh! Darling")])
    assert await store.names(None, [SONG]) == [SOMETHING]
    assert await store.names(ada, []) == []


async def test_a_fact_replaces_what_was_known_and_none_nothing(store, ada):
    await store.learn(None, [SOMETHING])
    await store.learn(None, [ItemName(SONG, title="Something (Remastered)")])
    await store.learn(None, [ItemName(SONG), ItemName(VIDEO)])

    assert await store.names(ada, [SONG]) == [SOMETHING._replace(title="Something (Remastered)")]
    assert await store.names(ada, [VIDEO]) == [ItemName(VIDEO)]


async def test_of_names_for_one_item_in_one_call_the_later_counts(store, ada):
    await store.learn(None, [SOMETHING, ItemName(SONG, artist="Beatles"), ItemName(SONG, title="Some")])

    assert await store.names(ada, [SONG]) == [SOMETHING._replace(title="Some", artist="Beatles")]


async def test_nothing_to_learn_is_nothing(store, ada):
    await store.learn(ada, [])

    assert await store.names(ada, [SONG]) == []


async def test_what_an_upload_is_called_is_its_owners_business(store, ada, ben):
    mine = ItemName(UPLOAD, "Demo", "Me", isrc=ISRC, musicbrainz_id=UUID)
    await store.learn(ada, [mine, SOMETHING])

    assert in_order(await store.names(ada, [UPLOAD, SONG])) == in_order([mine, SOMETHING])
    assert await store.names(ben, [UPLOAD, SONG]) == [SOMETHING]
    assert await store.names(None, [UPLOAD, SONG]) == [SOMETHING]
    for clue, text in ((Clue.ISRC, ISRC), (Clue.MUSICBRAINZ_ID, UUID), (Clue.MATCH_KEY, match_key("Demo", "Me"))):
        everybodys = {text: [SOMETHING]} if clue is not Clue.MATCH_KEY else {}
        assert await store.named(ben, clue, [text], limit=9) == everybodys
        assert await store.named(None, clue, [text], limit=9) == everybodys
        assert (await store.named(ada, clue, [text], limit=9))[text] == [*everybodys.get(text, []), mine]


async def test_nobody_can_name_a_library_item(store):
    with pytest.raises(ListenerRemoved):
        await store.learn(None, [ItemName(UPLOAD, "Demo")])


async def test_a_removed_listener_takes_names_along_and_learns_no_more(store, ada, ben):
    await store.learn(ada, [ItemName(UPLOAD, "Demo"), SOMETHING])
    await store.remove_listener("ada")

    with pytest.raises(ListenerRemoved):
        await store.learn(ada, [ItemName(UPLOAD, "Demo")])
    assert await store.names(ada, [UPLOAD]) == []
    assert await store.names(ben, [SONG]) == [SOMETHING]


# Looking up


async def test_an_item_is_found_by_each_clue(store, ada):
    await store.learn(None, [SOMETHING, ItemName(OTHER_SONG, "Oh! Darling", "The Beatles")])

    for clue, text in (
        (Clue.ISRC, ISRC),
        (Clue.MUSICBRAINZ_ID, UUID),
        (Clue.MATCH_KEY, match_key("SOMETHING (feat. Nobody)", "the béatles")),
    ):
        assert await store.named(ada, clue, [text, "nothing"], limit=2) == {text: [SOMETHING]}
    assert await store.named(ada, Clue.ISRC, [], limit=2) == {}


async def test_what_is_ambiguous_is_told_by_a_second_candidate(store, ada):
    here = [ItemName(Item(Kind.SONG, str(number)), "Intro", "The xx", isrc=ISRC) for number in range(3)]
    video, own = ItemName(VIDEO, "Intro", "The xx", isrc=ISRC), ItemName(UPLOAD, "Intro", "The xx", isrc=ISRC)
    await store.learn(ada, [own, video, *reversed(here)])

    key = match_key("Intro", "The xx")
    for clue, text in ((Clue.ISRC, ISRC), (Clue.MATCH_KEY, key)):
        assert await store.named(ada, clue, [text], limit=1) == {text: here[:1]}
        assert await store.named(ada, clue, [text], limit=2) == {text: here[:2]}
        assert await store.named(ada, clue, [text], limit=9) == {text: [*here, video, own]}


async def test_the_key_follows_the_name_also_when_its_halves_are_learned_apart(store, ada):
    await store.learn(None, [ItemName(SONG, title="Something")])
    assert await store.named(ada, Clue.MATCH_KEY, [match_key("Something", "The Beatles")], limit=2) == {}
    await store.learn(None, [ItemName(SONG, artist="The Beatles")])
    assert await store.named(ada, Clue.MATCH_KEY, [match_key("Something", "The Beatles")], limit=2)
    await store.learn(None, [ItemName(SONG, title="Anything")])

    assert await store.named(ada, Clue.MATCH_KEY, [match_key("Something", "The Beatles")], limit=2) == {}
    assert await store.named(ada, Clue.MATCH_KEY, [match_key("Anything", "The Beatles")], limit=2)


async def test_texts_of_any_kind_and_length_are_kept(store, ada):
    texts = ["🎵" * 500, "ﷺ" * 500, "'; DROP TABLE item_names; --", "???", "が", "\u0301", "\x00 a\ud800b "]
    wanted = [
        item_name_of(Item(Kind.SONG, str(number)), title=text, artist=text, album=text)
        for number, text in enumerate(texts)
    ]

    await store.learn(None, wanted)

    assert in_order(await store.names(ada, [name.item for name in wanted])) == in_order(wanted)
    for name in wanted:
        found = await store.named(ada, Clue.MATCH_KEY, [match_key(name.title, name.artist)], limit=9)
        assert list(found.values()) == [[name]]


async def test_a_thousand_names_are_learned_at_once_and_by_many_at_once(store, ada):
    names = [ItemName(Item(Kind.SONG, str(number)), f"Song {number}", "Somebody") for number in range(1_000)]

    await asyncio.gather(store.learn(ada, names), store.learn(ada, names[::-1]), store.learn(None, names[::3]))

    found = await store.names(ada, [name.item for name in names])
    assert in_order(found) == in_order(names)


async def test_what_is_learned_is_there_for_every_service(reopen):
    first, second = await reopen(), await reopen()
    await first.learn(None, [SOMETHING])

    assert await second.names(None, [SONG]) == [SOMETHING]
