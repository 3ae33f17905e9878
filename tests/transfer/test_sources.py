"""What is handed to an import: files, folders, pipes, archives in archives, and archives that mean harm."""

import io
import os
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from contextlib import ExitStack

import pytest

from likewise.errors import BadFile
from likewise.transfer import sources
from likewise.transfer.formats import FORMATS
from likewise.transfer.sources import Broken, Search, Skipped, Source
from tests.exports import make

LINE = b'{"type":"songs","id":"5","value":1}\n'
MAY_2022 = 1_651_406_400_000


def found(path, format=None):
    """Return names with their formats, and what was skipped with the reasons, below `path`."""
    with ExitStack() as stack:
        return {
            each.name.removeprefix(str(path)): each.reason if isinstance(each, Skipped) else each.format.name
            for each in Search(stack, format).in_path(path)
        }


def sources_in(path):
    """Return what can be read below `path`; it has been closed again."""
    with ExitStack() as stack:
        return [each for each in Search(stack).in_path(path) if isinstance(each, Source)]


def content(path):
    """Return what every file below `path` holds, or what was raised while reading it."""
    contents: dict[str, bytes | str] = {}
    with ExitStack() as stack:
        for each in Search(stack).in_path(path):
            assert isinstance(each, Source)
            try:
                with each.open() as file:
                    contents[each.name.removeprefix(str(path))] = file.read()
            except Broken as error:
                contents[each.name.removeprefix(str(path))] = str(error)
    return contents


@pytest.fixture
def archive(tmp_path):
    """Write an archive of these members, or these bytes as they are."""

    def write(members):
        path = tmp_path / "a.zip"
        path.write_bytes(members if isinstance(members, bytes) else make.packed(members))
        return path

    return write


# Files


def test_a_file_is_found_with_its_date(tmp_path):
    path = tmp_path / "anything.txt"
    path.write_bytes(LINE)
    os.utime(path, (MAY_2022 / 1000, MAY_2022 / 1000))

    [source] = sources_in(path)

    assert (source.format.name, source.time, source.size) == ("ndjson", MAY_2022, len(LINE))


def test_a_file_of_no_format_or_none_at_all_is_told(tmp_path):
    (tmp_path / "noise").write_bytes(b"noise")
    (tmp_path / "empty").write_bytes(b"")

    assert found(tmp_path / "noise") == {"": "it is of no format that Likewise knows"}
    assert found(tmp_path / "empty") == {"": "it is empty"}


def test_a_format_can_be_told(tmp_path):
    (tmp_path / "noise").write_bytes(b"noise")

    assert found(tmp_path / "noise", FORMATS[0]) == {"": FORMATS[0].name}


@pytest.mark.parametrize("name", ["missing", "x" * 300, "\0"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(BadFile, match="cannot be read"):
        found(tmp_path / name)


def test_a_folder_is_searched_without_following_links(tmp_path):
    (tmp_path / "folder" / "__MACOSX").mkdir(parents=True)
    (tmp_path / "folder" / "b.csv").write_bytes(b"no likes")
    (tmp_path / "folder" / "a.csv").write_bytes(make.apple_likes())
    (tmp_path / "folder" / "._a.csv").write_bytes(make.apple_likes())
    (tmp_path / "folder" / "__MACOSX" / "a.csv").write_bytes(make.apple_likes())
    (tmp_path / "folder" / "c.csv").symlink_to(tmp_path / "folder" / "a.csv")

    assert found(tmp_path / "folder") == {"/a.csv": "apple-likes", "/b.csv": None}


def test_a_pipe_is_read_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(LINE,))
    writer.start()

    assert content(path) == {"": LINE}
    writer.join()


def test_standard_input_is_read_once():
    program = """
from contextlib import ExitStack
from pathlib import Path
from likewise.transfer.sources import Search
with ExitStack() as stack:
    [source] = Search(stack).in_path(Path('-'))
    with source.open() as file: print(source.name, file.read())
"""

    done = subprocess.run([sys.executable, "-c", program], input=LINE, capture_output=True, timeout=60, check=True)

    assert done.stdout.decode().strip() == f"standard input {LINE!r}"


# Archives


def test_an_archive_is_searched_and_companions_are_passed_over(archive):
    path = archive(make.apple_archive())
    folder = "/Apple_Media_Services/Apple Music Activity/"
    tracks = "Apple Music Library Tracks.json"

    assert found(path) == {
        f"{folder}Apple Music Likes and Dislikes.csv": "apple-likes",
        f"{folder}Apple Music - Favorites.csv": "apple-favorites",
        f"{folder}{tracks}.zip/{tracks}": "apple-tracks",
        f"{folder}Apple Music Library Albums.json": "apple-albums",
        f"{folder}Apple Music Library Playlists.json": "apple-playlists",
        f"{folder}Apple Music Play Activity.csv": None,
        f"{folder}Empty.json": None,
    }
    assert content(archive({"a": LINE, "b/c": LINE})) == {"/a": LINE, "/b/c": LINE}


def test_what_a_file_is_called_does_nothing_to_a_terminal(archive, tmp_path):
    assert list(found(archive({"a\x1b[2J\nb": LINE}))) == ["/a\ufffd[2J\ufffdb"]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a\x1bb").write_bytes(LINE)
    assert list(found(tmp_path / "folder")) == ["/a\ufffdb"]


def test_a_member_has_its_own_date_else_the_archives(archive):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr(zipfile.ZipInfo("dated", (2022, 5, 1, 12, 0, 0)), LINE)
        written.writestr(zipfile.ZipInfo("undated", (1980, 0, 0, 0, 0, 0)), LINE)
    path = archive(file.getvalue())
    os.utime(path, (1, 1))

    assert [source.time for source in sources_in(path)] == [MAY_2022, 1_000]


def test_archives_are_opened_three_deep(archive):
    inner = {"likes": LINE}
    for _ in range(2):
        inner = {"a.zip": make.packed(inner)}
    assert found(archive(inner)) == {"/a.zip/a.zip/likes": "ndjson"}

    deeper = {"a.zip": make.packed(inner)}
    assert found(archive(deeper)) == {"/a.zip/a.zip/a.zip": "it is an archive in 3 others"}


def test_a_hundred_archives_are_opened(archive):
    inner = make.packed({"likes": LINE})

    skipped = {
        name: reason
        for name, reason in found(archive({str(n): inner for n in range(100)})).items()
        if reason != "ndjson"
    }

    assert skipped == {"/99": "there are more than 100 archives"}


@pytest.mark.parametrize("name", ["../likes", "/likes", "a/../../likes", "..\\likes", "\\likes"])
def test_a_name_that_leads_out_of_an_archive_is_refused(archive, name):
    assert list(found(archive({name: LINE, "good": LINE})).values()) == ["its name leads out of the archive", "ndjson"]


def test_links_and_what_is_encrypted_are_refused(archive):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        written.writestr(link, "/etc/passwd")
        written.writestr("secret", LINE)
    # The bit that says encrypted, in the member's header and in the directory.
    content = bytearray(file.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(signature) + offset] |= 1

    assert found(archive(bytes(content))) == {"/link": "it is a symbolic link", "/secret": "it is encrypted"}


@pytest.mark.parametrize("size", [4, 30, 200, -1])
def test_an_archive_that_is_cut_off_is_told(archive, size):
    whole = make.packed({"likes": LINE * 1000})

    [reason] = found(archive(whole[:size])).values()

    assert reason.startswith("the archive is broken or cut off")


def test_a_member_that_is_damaged_is_told_when_it_is_read(archive):
    member = make.packed({"likes": os.urandom(200_000)})
    damaged = bytearray(make.packed({"likes": LINE * 20_000}))
    damaged[60] ^= 0xFF
    assert found(archive(make.packed({"a.zip": member[:100_000], "b": LINE})))["/b"] == "ndjson"

    results = found(archive(bytes(damaged)))
    assert next(iter(results.values())).startswith("it cannot be unpacked to its end")


def test_a_member_that_is_damaged_late_is_told_before_anything_of_it_is_read(archive):
    lines = b"".join(b'{"type":"songs","id":"%d","value":1}\n' % number for number in range(50_000))
    damaged = bytearray(make.packed({"likes": lines}))
    damaged[len(damaged) // 2] ^= 0xFF

    [told] = found(archive(bytes(damaged))).values()

    assert told.startswith("it cannot be unpacked to its end")


def test_an_unknown_way_of_packing_is_told(archive):
    packed = bytearray(make.packed({"likes": LINE}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        packed[packed.index(signature) + offset] = 99

    [reason] = found(archive(bytes(packed))).values()

    assert reason.startswith("it cannot be unpacked (That compression method is not supported)")


def test_a_member_may_not_expand_to_more_than_its_ratio(archive):
    bomb = LINE + b"\n" * (20 * 1024 * 1024)
    small = LINE + b"\n" * (1024 * 1024 - len(LINE))

    assert found(archive({"bomb": bomb})) == {"/bomb": "it expands to more than 200 times its size"}
    assert content(archive({"small": small})) == {"/small": small}


def test_an_archive_in_an_archive_may_not_expand_to_more_either(archive):
    bomb = make.packed({"likes": LINE}) + b"\0" * (20 * 1024 * 1024)

    [reason] = found(archive({"bomb.zip": bomb})).values()

    assert reason == "the archive is broken or cut off (it expands to more than 200 times its size)"


def test_all_archives_together_have_a_limit(archive, monkeypatch):
    monkeypatch.setattr(sources, "EXPANDED_BYTES_MAX", 2 * len(LINE))

    told = found(archive({"a": LINE, "b": LINE, "c": LINE}))

    assert (told["/a"], told["/b"]) == ("ndjson", "ndjson")
    assert told["/c"].startswith("all archives together expand to more than")


def test_what_is_read_again_counts_once(archive, monkeypatch):
    monkeypatch.setattr(sources, "EXPANDED_BYTES_MAX", 2 * len(LINE))

    assert content(archive({"a": LINE, "b": LINE})) == {"/a": LINE, "/b": LINE}


@pytest.mark.parametrize("is_64", [False, True])
def test_a_directory_that_is_too_large_is_not_read(archive, is_64):
    size = sources.DIRECTORY_BYTES_MAX + 1
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF if is_64 else size, 0, 0)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
    content = b"PK\x03\x04" + (record + locator if is_64 else b"") + end

    assert found(archive(content)) == {"": "the archive is broken or cut off (its directory has more than 4 MiB)"}


def test_a_large_directory_that_is_not_where_it_should_be_is_no_directory(archive):
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 5, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 10_000, 1)

    [reason] = found(archive(b"PK\x03\x04" + locator + end)).values()

    assert reason.startswith("the archive is broken or cut off")


def test_an_empty_archive_holds_nothing(archive):
    assert found(archive({})) == {}
