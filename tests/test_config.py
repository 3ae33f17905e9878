"""Settings: where they come from, their limits, and what is shown of them."""

from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.config import (
    Settings,
    described,
    hide_password,
    read_settings,
    split_address,
    unknown_variables,
    variable,
)
from likewise.errors import BadSetting

URL = "sqlite:////var/lib/likewise/likewise.db"
SECRET_URL = "postgresql://likewise:Tr0ub4dor@db.example/likewise"
ADMIN_TOKEN = "correct-horse-battery-staple-and-more"


# Where they come from


def test_an_empty_environment_gives_the_documented_defaults():
    assert read_settings({}) == Settings(database="", host="127.0.0.1", port=8080, ids_max=300, shutdown_seconds_max=10)


def test_each_setting_is_read_from_its_variable():
    environment = {
        "LIKEWISE_DATABASE": URL,
        "LIKEWISE_HOST": "::",
        "LIKEWISE_PORT": "80",
        "LIKEWISE_WORKERS": "2",
        "LIKEWISE_IDS_MAX": "100",
        "LIKEWISE_SHUTDOWN_SECONDS_MAX": "5",
        "LIKEWISE_ADMIN_TOKEN": ADMIN_TOKEN,
        "LIKEWISE_TLS_CERTIFICATE": "/tls/likewise.crt",
        "LIKEWISE_TLS_KEY": "/tls/likewise.key",
        "LIKEWISE_SOCKET_MODE": "600",
        "LIKEWISE_TRUSTED_PROXIES": "10.0.0.0/8,unix",
        "LIKEWISE_EXTENSIONS": "off",
        "LIKEWISE_TOMBSTONE_DAYS": "7",
        "LIKEWISE_RATE_LIMIT": "50",
        "LIKEWISE_METRICS_ADDRESS": "[::1]:9464",
        "LIKEWISE_LOG_FORMAT": "json",
        "LIKEWISE_LOG_LEVEL": "warning",
        "LIKEWISE_ACCESS_LOG": "on",
        "LIKEWISE_LOG_LISTENERS": "hashed",
    }
    socket = {"LIKEWISE_SOCKET": "/run/likewise.sock"}  # there is no TLS on it

    assert read_settings(environment) == Settings(
        *(URL, "::", 80, 2, 100, 5, ADMIN_TOKEN, "/tls/likewise.crt", "/tls/likewise.key"),
        socket_mode="600",
        trusted_proxies="10.0.0.0/8,unix",
        extensions="off",
        tombstone_days=7,
        rate_limit=50,
        metrics_address="[::1]:9464",
        log_format="json",
        log_level="warning",
        access_log="on",
        log_listeners="hashed",
    )
    assert read_settings(socket).socket == "/run/likewise.sock"
    assert {variable(each.name) for each in fields(Settings)} == set(environment | socket)


def test_other_variables_and_other_spellings_are_not_read():
    assert read_settings({"PORT": "80", "likewise_port": "80", "LIKEWISE_PORT_FILE": "/nowhere"}) == Settings()


def test_a_flag_wins_over_its_variable():
    assert read_settings({"LIKEWISE_PORT": "80", "LIKEWISE_HOST": "::"}, {"port": 0, "host": None}) == Settings(
        port=0, host="::"
    )


def test_a_flag_wins_over_a_variable_that_makes_no_sense():
    assert read_settings({"LIKEWISE_PORT": "eighty"}, {"port": 81}).port == 81


def test_a_flag_has_the_limits_of_its_variable():
    with pytest.raises(BadSetting, match="the flag --port must be a whole number from 0 to 65535"):
        read_settings({"LIKEWISE_PORT": "80"}, {"port": 65_536})


def test_settings_cannot_be_changed():
    settings = Settings()

    with pytest.raises(FrozenInstanceError):
        settings.port = 80  # type: ignore[misc]


def test_every_setting_is_described_with_its_variable_default_and_meaning():
    described_settings = {name: (default, says) for name, default, says in described()}

    assert list(described_settings) == [variable(each.name) for each in fields(Settings)]
    assert described_settings["LIKEWISE_PORT"] == (8080, "the port to listen on; 0 picks a free one")
    assert all(says for _, says in described_settings.values())


# Limits


LIMITS = [
    ("port", 0, 65_535),
    ("ids_max", 1, 10_000),
    ("shutdown_seconds_max", 1, 600),
    ("tombstone_days", 1, 3_650),
    ("rate_limit", 0, 1_000_000),
]


@pytest.mark.parametrize(("name", "low", "high"), LIMITS)
def test_a_number_may_be_as_low_and_as_high_as_its_limits(name, low, high):
    assert getattr(read_settings({variable(name): str(low)}), name) == low
    assert getattr(read_settings({variable(name): str(high)}), name) == high


@pytest.mark.parametrize(("name", "low", "high"), LIMITS)
def test_a_number_just_past_its_limits_is_refused(name, low, high):
    for number in (low - 1, high + 1):
        with pytest.raises(BadSetting, match=f"{variable(name)} must be a whole number from {low} to {high}"):
            read_settings({variable(name): str(number)})


@pytest.mark.parametrize(
    "text", ["", " ", "80.0", "8e1", "+80", "-0", " 80", "80\n", "0x50", "8_0", "٨٠", "⁸", "9" * 5_000]
)
def test_what_is_no_plain_whole_number_is_refused(text):
    with pytest.raises(BadSetting, match="LIKEWISE_PORT must be a whole number from 0 to 65535") as refusal:
        read_settings({"LIKEWISE_PORT": text})

    assert refusal.value.hint


@pytest.mark.parametrize("name", ["database", "host"])
def test_an_empty_text_is_refused(name):
    with pytest.raises(BadSetting, match=f"{variable(name)} must be a text that is not empty"):
        read_settings({variable(name): ""})


@pytest.mark.parametrize("length", [32, 512])
def test_an_admin_token_may_be_as_short_and_as_long_as_its_limits(length):
    assert read_settings({"LIKEWISE_ADMIN_TOKEN": "!" * length}).admin_token == "!" * length


@pytest.mark.parametrize(
    "token",
    ["", "swordfish", "s" * 31, "s" * 513, "sword fish" * 4, "swordfish\n" * 4, "swordfish" * 4 + "\n", "é" * 32],
)
def test_an_admin_token_that_is_too_short_or_fits_in_no_header_is_refused_without_being_told(token):
    with pytest.raises(BadSetting, match="LIKEWISE_ADMIN_TOKEN must be a text of 32 to 512 visible") as refusal:
        read_settings({"LIKEWISE_ADMIN_TOKEN": token})

    assert "sword" not in f"{refusal.value} {refusal.value.hint}"


CHOICES = {
    "LIKEWISE_LOG_FORMAT": ["auto", "console", "json"],
    "LIKEWISE_LOG_LEVEL": ["debug", "info", "warning", "error"],
    "LIKEWISE_ACCESS_LOG": ["on", "off"],
    "LIKEWISE_LOG_LISTENERS": ["off", "hashed", "clear"],
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_its_words_and_nothing_else(name):
    for word in CHOICES[name]:
        assert getattr(read_settings({name: word}), name.removeprefix("LIKEWISE_").lower()) == word
    for other in ["", "ON", "true", "1", f" {CHOICES[name][0]}"]:
        with pytest.raises(BadSetting, match=f"{name} must be {CHOICES[name][0]}(, .*)? or {CHOICES[name][-1]}"):
            read_settings({name: other})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65_535)),
    ],
)
def test_an_address_of_its_own_for_the_metrics_is_host_and_port(text, parts):
    assert read_settings({"LIKEWISE_METRICS_ADDRESS": text}).metrics_address == text
    assert split_address(text) == parts


@pytest.mark.parametrize("word", ["root", "off"])
def test_the_metrics_are_at_the_root_or_nowhere_too(word):
    assert read_settings({"LIKEWISE_METRICS_ADDRESS": word}).metrics_address == word


@pytest.mark.parametrize("text", ["", "on", "9464", ":9464", "host:", "host:65536", "::1:80", "[::1]", "h:8\n", "h:٨٠"])
def test_any_other_address_of_the_metrics_is_refused(text):
    with pytest.raises(BadSetting, match="LIKEWISE_METRICS_ADDRESS must be root, off or HOST:PORT"):
        read_settings({"LIKEWISE_METRICS_ADDRESS": text})


@pytest.mark.parametrize("mode", ["600", "666", "0660", "000", "777"])
def test_the_mode_of_a_socket_is_three_octal_digits(mode):
    assert read_settings({"LIKEWISE_SOCKET_MODE": mode}).socket_mode == mode


@pytest.mark.parametrize("text", ["", "ON", "true", "1", "yes", "off "])
def test_what_is_neither_on_nor_off_is_refused(text):
    with pytest.raises(BadSetting, match="LIKEWISE_EXTENSIONS must be on or off"):
        read_settings({"LIKEWISE_EXTENSIONS": text})


@pytest.mark.parametrize("mode", ["", "66", "0o660", "668", "4777", "-660", "rw-rw----", "٦٦٠"])
def test_any_other_mode_of_a_socket_is_refused(mode):
    with pytest.raises(BadSetting, match="LIKEWISE_SOCKET_MODE must be a file mode of three octal digits, like 660"):
        read_settings({"LIKEWISE_SOCKET_MODE": mode})


def test_proxies_that_are_no_addresses_are_refused():
    with pytest.raises(BadSetting, match="LIKEWISE_TRUSTED_PROXIES must be IP addresses, networks like"):
        read_settings({"LIKEWISE_TRUSTED_PROXIES": "10.0.0.1/8"})


# What goes together


@pytest.mark.parametrize(("one", "other"), [("CERTIFICATE", "KEY"), ("KEY", "CERTIFICATE")])
def test_half_of_tls_is_refused(one, other):
    with pytest.raises(BadSetting, match=f"LIKEWISE_TLS_{one} is set without LIKEWISE_TLS_{other}") as refusal:
        read_settings({f"LIKEWISE_TLS_{one}": "/tls"})

    assert refusal.value.hint == "set both, or none"


def test_tls_on_a_unix_socket_is_refused():
    with pytest.raises(BadSetting, match="LIKEWISE_SOCKET and LIKEWISE_TLS_CERTIFICATE are both set"):
        read_settings({"LIKEWISE_TLS_CERTIFICATE": "/c", "LIKEWISE_TLS_KEY": "/k", "LIKEWISE_SOCKET": "/s"})


@pytest.mark.parametrize(("flag", "value"), [("host", "::"), ("port", 0)])
def test_a_flag_that_a_unix_socket_makes_void_is_refused(flag, value):
    with pytest.raises(BadSetting, match=f"the flag --{flag} is given, and LIKEWISE_SOCKET is set"):
        read_settings({"LIKEWISE_SOCKET": "/s"}, {flag: value})


def test_a_unix_socket_counts_more_than_the_variables_of_host_and_port():
    assert read_settings({"LIKEWISE_SOCKET": "/s", "LIKEWISE_PORT": "80"}, {"host": None}).socket == "/s"


# Secrets in files


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path):
    (tmp_path / "url").write_text(f"{SECRET_URL}\n")

    assert read_settings({"LIKEWISE_DATABASE_FILE": str(tmp_path / "url")}).database == SECRET_URL


def test_the_admin_token_is_read_from_a_file_too(tmp_path):
    (tmp_path / "token").write_text(f"{ADMIN_TOKEN}\n")

    assert read_settings({"LIKEWISE_ADMIN_TOKEN_FILE": str(tmp_path / "token")}).admin_token == ADMIN_TOKEN


def test_a_secret_both_in_a_variable_and_in_a_file_is_refused(tmp_path):
    (tmp_path / "url").write_text(URL)

    with pytest.raises(BadSetting, match="both LIKEWISE_DATABASE and LIKEWISE_DATABASE_FILE are set"):
        read_settings({"LIKEWISE_DATABASE": URL, "LIKEWISE_DATABASE_FILE": str(tmp_path / "url")})


def test_a_flag_wins_over_a_file(tmp_path):
    environment = {"LIKEWISE_DATABASE_FILE": str(tmp_path / "nowhere")}

    assert read_settings(environment, {"database": URL}).database == URL


def missing(path):
    pass


def folder(path):
    path.mkdir()


def not_utf_8(path):
    path.write_bytes(b"sqlite:///\xff")


@pytest.mark.parametrize(
    ("make", "reason"),
    [(missing, "No such file or directory"), (folder, "Is a directory"), (not_utf_8, "it is no UTF-8")],
)
def test_a_file_that_cannot_be_read_is_refused_and_its_name_not_repeated(tmp_path, make, reason):
    make(tmp_path / "url")

    with pytest.raises(BadSetting) as refusal:
        read_settings({"LIKEWISE_DATABASE_FILE": str(tmp_path / "url")})
    assert str(refusal.value) == f"the file that LIKEWISE_DATABASE_FILE names cannot be read ({reason})"


def test_a_variable_that_names_no_file_is_refused():
    with pytest.raises(BadSetting, match="LIKEWISE_DATABASE_FILE"):
        read_settings({"LIKEWISE_DATABASE_FILE": ""})


@pytest.mark.parametrize("text", ["", "\n", " \t\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    (tmp_path / "url").write_text(text)

    with pytest.raises(BadSetting, match="LIKEWISE_DATABASE must be a text that is not empty"):
        read_settings({"LIKEWISE_DATABASE_FILE": str(tmp_path / "url")})


# Variables that mean nothing


def test_known_and_foreign_variables_are_not_complained_of():
    known = {variable(each.name): "1" for each in fields(Settings)}

    assert unknown_variables({**known, "LIKEWISE_DATABASE_FILE": "/x", "PATH": "/bin", "XLIKEWISE_PORT": "1"}) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("LIKEWISE_PROT", "the variable LIKEWISE_PROT is no setting; did you mean LIKEWISE_PORT?"),
        (
            "LIKEWISE_DATABASE_FIEL",
            "the variable LIKEWISE_DATABASE_FIEL is no setting; did you mean LIKEWISE_DATABASE_FILE?",
        ),
        ("LIKEWISE_PORT_FILE", "the variable LIKEWISE_PORT_FILE is no setting; did you mean LIKEWISE_PORT?"),
        ("LIKEWISE_", "the variable LIKEWISE_ is no setting"),
        ("LIKEWISE_XXXXXXXXXXXXXXXXXXXXXXXXXXXX", "the variable LIKEWISE_XXXXXXXXXXXXXXXXXXXXXXXXXXXX is no setting"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_one(name, sentence):
    [said] = unknown_variables({name: "1"})

    assert said.startswith(sentence)


def test_variables_that_mean_something_to_others_are_not_complained_of():
    assert unknown_variables({"LIKEWISE_URL": "1"}, also_known=["LIKEWISE_URL"]) == []


def test_unknown_variables_are_named_in_order():
    sentences = unknown_variables({"LIKEWISE_ZZZ": "1", "LIKEWISE_AAA": "1"})

    assert [sentence.split()[2] for sentence in sentences] == ["LIKEWISE_AAA", "LIKEWISE_ZZZ"]


def test_what_an_unknown_variable_holds_is_not_told():
    assert "Tr0ub4dor" not in "".join(unknown_variables({"LIKEWISE_DATABSE": SECRET_URL}))


# What is shown


def test_the_password_is_not_shown():
    settings = Settings(database=SECRET_URL)

    assert settings.shown()["database"] == "postgresql://likewise:***@db.example/likewise"
    assert "Tr0ub4dor" not in repr(settings)
    assert "Tr0ub4dor" not in f"{settings} {settings!r} {settings.shown()}"
    assert settings.database == SECRET_URL


def test_of_an_admin_token_it_is_shown_only_whether_there_is_one():
    settings = Settings(admin_token=ADMIN_TOKEN)

    assert settings.shown()["admin_token"] == "***"
    assert Settings().shown()["admin_token"] == ""
    assert ADMIN_TOKEN not in f"{settings} {settings!r}"
    assert settings.admin_token == ADMIN_TOKEN


def test_everything_else_is_shown():
    assert Settings(database=URL, port=80).shown() == {
        "database": URL,
        "host": "127.0.0.1",
        "port": 80,
        "workers": 0,
        "ids_max": 300,
        "shutdown_seconds_max": 10,
        "admin_token": "",
        "tls_certificate": "",
        "tls_key": "",
        "socket": "",
        "socket_mode": "660",
        "trusted_proxies": "",
        "extensions": "on",
        "tombstone_days": 90,
        "rate_limit": 0,
        "metrics_address": "root",
        "log_format": "auto",
        "log_level": "info",
        "access_log": "off",
        "log_listeners": "off",
    }
    assert repr(Settings(database=URL)) == (
        f"Settings(database='{URL}', host='127.0.0.1', port=8080, workers=0, ids_max=300, "
        "shutdown_seconds_max=10, admin_token='', tls_certificate='', tls_key='', socket='', socket_mode='660', "
        "trusted_proxies='', extensions='on', tombstone_days=90, rate_limit=0, metrics_address='root', "
        "log_format='auto', log_level='info', access_log='off', log_listeners='off')"
    )


@pytest.mark.parametrize(
    "url", ["", URL, "sqlite:///:memory:", "sqlite:///a:b@c", "postgresql://db.example/likewise", "postgresql://u@h/d"]
)
def test_a_url_without_a_password_is_shown_whole(url):
    assert hide_password(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://:secret@h/d", "postgresql://:***@h/d"),
        ("postgresql://u:se:cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:se@cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:%73ecret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://secret:secret@h/secret", "postgresql://secret:***@h/secret"),
        ("postgresql://u:secret@[h/d", "postgresql://u:***@[h/d"),
        ("postgresql://u:secret@h:1,[::1]:2/d", "postgresql://u:***@h:1,[::1]:2/d"),
        ("postgresql://u@h:1,h:2/d?password=secret", "postgresql://u@h:1,h:2/d?password=***"),
    ],
)
def test_a_password_in_a_url_is_hidden(url, shown):
    assert hide_password(url) == shown


@pytest.mark.parametrize("character", ["/", "?", "#", "\t", "\n", "[", "%", " ", "é"])
def test_a_password_that_is_not_encoded_as_it_should_be_is_hidden_too(character):
    shown = hide_password(f"postgresql://u:swordfish{character}marlin@h/d")

    assert "swordfish" not in shown
    assert "marlin" not in shown


def test_a_password_in_the_query_of_a_url_is_hidden():
    assert "swordfish" not in hide_password("postgresql://h/d?user=u&password=swordfish&sslmode=require")


@given(st.text(st.characters(codec="ascii", exclude_characters="/?#\t\r\n[]", min_codepoint=33), min_size=8))
def test_no_password_is_shown(password):
    # To the letter, for a password may well be «postgres», which the URL holds anyhow.
    assert hide_password(f"postgresql://u:{password}@h/d") == "postgresql://u:***@h/d"
