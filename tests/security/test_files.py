"""Whatever the product writes is for its owner alone, whatever the umask, and goes where it was told to go."""

import json
import os
import socket
import stat
from contextlib import contextmanager

import pytest

from likewise.cli.household import open_household
from likewise.cli.running import announced
from likewise.config import Settings
from likewise.errors import BadFile, BadSetting
from likewise.serving.addresses import open_socket
from likewise.stores import open_store
from likewise.tokens import generate_private_key
from likewise.transfer import links, reporting
from likewise.transfer.links import LINKS_MAX, followed
from likewise.transfer.reporting import replacing
from tests.house import KEY_ID, TEAM_ID

STRANGER = 65_534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of somebody else's")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes_in(folder):
    """Tell the modes of all files and folders below."""
    return {path.relative_to(folder).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


def only_files(*names):
    return dict.fromkeys(names, 0o600)


@contextmanager
def lent_to_everybody(path):
    """A folder like /tmp: everybody may make files there, and remove their own."""
    path.mkdir()
    path.chmod(0o1777)
    yield path


# Modes


@pytest.mark.usefixtures("umask")
async def test_a_database_and_its_log_are_for_their_owner_alone(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/likewise.db")
    await store.add_listener("ada", "us")

    modes = modes_in(tmp_path)
    await store.close()

    assert modes == only_files("likewise.db", "likewise.db-wal", "likewise.db-shm")


@pytest.mark.usefixtures("umask")
def test_backups_restores_copies_exports_and_reports_are_for_their_owner_alone(likewise, tmp_path):
    private = tmp_path / "made"
    private.mkdir()
    assert likewise("listener", "add", "ada").code == 0
    (tmp_path / "likes.ndjson").write_text('{"type":"songs","id":"1","value":1}\n{"type":"songs"}\n')

    for code, *arguments in (
        (1, "import", tmp_path / "likes.ndjson", "--report", "made/report.csv"),
        (0, "backup", "made/backup.db"),
        (0, "backup", "made/backup.ndjson"),
        (0, "export", "--out", "made/export.csv", "--format", "csv"),
        (0, "restore", "made/backup.db", "--database", "sqlite:///made/restored.db"),
        (0, "restore", "made/backup.ndjson", "--database", "sqlite:///made/restored-lines.db"),
        (0, "copy", "--to", "sqlite:///made/copied.db"),
        (0, "migrate", "--database", "sqlite:///made/migrated.db"),
    ):
        outcome = likewise(*arguments)
        assert outcome.code == code, outcome.err

    databases = ("restored.db", "restored-lines.db", "copied.db", "migrated.db")
    assert modes_in(private) == only_files("report.csv", "backup.db", "backup.ndjson", "export.csv", *databases)


@pytest.mark.usefixtures("umask")
def test_what_is_replaced_is_not_as_open_as_what_was_there(likewise, apple, tmp_path):
    apple.add("songs", "i.a", "1")
    likewise("listener", "add", "ada")
    for name in ("backup.db", "backup.ndjson", "export", "pulled"):
        (tmp_path / name).write_text("before")
        (tmp_path / name).chmod(0o666)

    assert likewise("backup", "backup.db", "--force").code == 0
    assert likewise("backup", "backup.ndjson", "--force").code == 0
    assert likewise("export", "--out", "export").code == 0
    assert likewise("pull", "pulled").code == 0

    assert modes_in(tmp_path) == only_files("likewise.db", "backup.db", "backup.ndjson", "export", "pulled")


@pytest.mark.usefixtures("umask")
def test_what_a_pull_leaves_to_go_on_with_is_for_its_owner_alone(likewise, apple, tmp_path):
    for number in range(200):
        apple.add("songs", f"i.s{number}", str(1_000 + number))
    apple.requests_max = 4

    assert likewise("pull", "likes.ndjson", "--per-second", "1000").code == 1

    assert modes_in(tmp_path) == only_files("likes.ndjson.part", "likes.ndjson.state")


@pytest.mark.usefixtures("umask")
async def test_the_folder_of_dev_with_keys_and_tokens_is_for_its_owner_alone(tmp_path):
    with open_household(tmp_path / "data", reset=False) as household:
        await household.settle()
        with announced(household.folder, "http://127.0.0.1:1"):
            modes = modes_in(tmp_path)

    assert modes.pop("data") == 0o700
    assert len(modes) >= 8
    assert set(modes.values()) == {0o600}


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", ["600", "660", Settings().socket_mode])
def test_a_unix_socket_has_the_mode_of_its_setting_whatever_the_umask(tmp_path, mode):
    with open_socket(tmp_path / "s", mode=int(mode, 8)):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == int(mode, 8)


def test_the_folder_of_dev_names_no_key_outside_of_it(tmp_path):
    (tmp_path / "precious.p8").write_bytes(generate_private_key())
    (tmp_path / "data").mkdir()
    facts = {"team_id": TEAM_ID, "key_id": "/../../precious", "music_user_tokens": {}}
    (tmp_path / "data" / "dev.json").write_text(json.dumps(facts))

    with pytest.raises(BadSetting, match="cannot be understood"), open_household(tmp_path / "data", reset=False):
        pass
    with open_household(tmp_path / "data", reset=True):
        pass

    assert (tmp_path / "precious.p8").exists()


# Links that somebody else has put where we write


@needs_root
@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "--force"])
def test_a_backup_goes_through_no_strangers_link(likewise, tmp_path, force):
    likewise("listener", "add", "ada")
    with lent_to_everybody(tmp_path / "shared") as shared:
        planted(shared / "backup.db", tmp_path / "precious")

        outcome = likewise("backup", shared / "backup.db", *force)

    assert outcome.code == 1
    assert f"{shared}/backup.db is a link that somebody else has put there" in outcome.err
    assert not (tmp_path / "precious").exists()


@needs_root
def test_an_export_and_a_report_go_through_no_strangers_link(likewise, tmp_path):
    likewise("listener", "add", "ada")
    (tmp_path / "precious").write_text("before")
    (tmp_path / "likes.ndjson").write_text('{"type":"songs","id":"1","value":1}\n')
    with lent_to_everybody(tmp_path / "shared") as shared:
        planted(shared / "out", tmp_path / "precious")

        exported = likewise("export", "--out", shared / "out")
        imported = likewise("import", tmp_path / "likes.ndjson", "--report", shared / "out")

    for outcome in (exported, imported):
        assert outcome.code == 1
        assert "is a link that somebody else has put there" in outcome.err
    assert (tmp_path / "precious").read_text() == "before"


@needs_root
def test_an_export_is_written_into_no_strangers_pipe(tmp_path):
    with lent_to_everybody(tmp_path / "shared") as shared:
        os.mkfifo(shared / "out")
        os.chown(shared / "out", STRANGER, STRANGER)

        with pytest.raises(BadFile, match="belongs to somebody else"), replacing(shared / "out"):
            pass


def planted(path, target):
    path.symlink_to(target)
    os.lchown(path, STRANGER, STRANGER)


def test_what_is_a_strangers_is_told_apart_without_being_root(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    for room in (links, reporting):
        monkeypatch.setattr(room, "is_strangers", lambda _path: True)

    with pytest.raises(BadFile, match="is a link that somebody else has put there"):
        followed(tmp_path / "link")
    with pytest.raises(BadFile, match="belongs to somebody else"), replacing(tmp_path / "pipe"):
        pass


def test_a_link_of_ours_is_followed_to_where_it_leads(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "first").symlink_to("folder/second")
    (tmp_path / "folder" / "second").symlink_to(tmp_path / "third")

    assert followed(tmp_path / "first") == tmp_path / "third"


def test_links_that_go_round_lead_nowhere(tmp_path):
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")

    with pytest.raises(BadFile, match="leads nowhere"):
        followed(tmp_path / "one")


def test_as_many_links_are_followed_as_linux_follows(tmp_path):
    for number in range(LINKS_MAX + 1):
        (tmp_path / str(number)).symlink_to(str(number + 1))

    assert followed(tmp_path / "1") == tmp_path / str(LINKS_MAX + 1)
    with pytest.raises(BadFile, match="leads nowhere"):
        followed(tmp_path / "0")


# What can be foreseen: the names of what a pull goes on with


@pytest.fixture
def cut_short(likewise, apple):
    """A pull that has left its part and how far it came."""
    for number in range(200):
        apple.add("songs", f"i.s{number}", str(1_000 + number))
    apple.requests_max = 4
    assert likewise("pull", "likes.ndjson", "--per-second", "1000").code == 1
    apple.requests_max = 10**9


def test_a_pull_writes_through_no_link_in_the_place_of_its_part(likewise, apple, tmp_path):
    apple.add("songs", "i.a", "1")
    (tmp_path / "precious").write_text("before")
    (tmp_path / "likes.ndjson.part").symlink_to("precious")

    assert likewise("pull", "likes.ndjson").code == 0

    assert (tmp_path / "precious").read_text() == "before"
    assert not (tmp_path / "likes.ndjson").is_symlink()


@pytest.mark.usefixtures("cut_short")
@pytest.mark.parametrize("how", ["a link", "open to others", pytest.param("a stranger's", marks=needs_root)])
def test_a_pull_goes_on_with_no_part_but_its_own(likewise, tmp_path, how):
    part = tmp_path / "likes.ndjson.part"
    match how:
        case "a link":
            part.rename(tmp_path / "elsewhere")
            part.symlink_to("elsewhere")
        case "open to others":
            part.chmod(0o604)
        case _:
            os.chown(part, STRANGER, STRANGER)

    outcome = likewise("pull", "likes.ndjson", "--per-second", "1000")

    assert outcome.code == 0
    assert "going on" not in outcome.err
    status = (tmp_path / "likes.ndjson").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


# What others may not put in the place of ours


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev.lock").symlink_to(tmp_path / "made-by-us")

    with pytest.raises(BadSetting, match="cannot be used"), open_household(tmp_path / "data", reset=False):
        pass

    assert not (tmp_path / "made-by-us").exists()


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o702])
def test_dev_takes_no_folder_that_everybody_may_write_to(tmp_path, mode):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)

    with pytest.raises(BadSetting, match="others may write to the data folder"):
        open_household(tmp_path / "data", reset=False).__enter__()

    assert list((tmp_path / "data").iterdir()) == []


def test_dev_takes_no_folder_of_another_account_but_root_may_be_lent_one(tmp_path, monkeypatch):
    owner = os.geteuid()
    (tmp_path / "data").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(BadSetting, match="others may write to the data folder"):
        open_household(tmp_path / "data", reset=False).__enter__()

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with open_household(tmp_path / "data", reset=False):
        pass


def test_a_key_file_is_never_listened_on(tmp_path):
    (tmp_path / f"AuthKey_{KEY_ID}.p8").write_bytes(generate_private_key())

    with pytest.raises(BadSetting, match="is no socket"):
        open_socket(tmp_path / f"AuthKey_{KEY_ID}.p8", mode=0o660).__enter__()

    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(str(tmp_path / f"AuthKey_{KEY_ID}.p8"))
