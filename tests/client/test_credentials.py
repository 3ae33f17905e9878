"""Developer tokens, given or minted; and no secret where anybody could see it."""

import jwt
import pytest

from likewise.client import SigningKey
from likewise.client.credentials import checked_base_url, checked_user_token, token_source
from likewise.errors import BadDeveloperToken, BadKey, BadName, BadSetting, BadUserToken
from tests.house import KEY_ID, TEAM_ID


@pytest.fixture
def p8(tmp_path, private_key):
    path = tmp_path / f"AuthKey_{KEY_ID}.p8"
    path.write_bytes(private_key)
    return path


class TestSigningKey:
    def test_it_is_read_from_a_file_whose_name_tells_the_key_id(self, p8):
        for path in (p8, str(p8)):
            key = SigningKey(path, team_id=TEAM_ID)

            assert (key.key_id, key.team_id) == (KEY_ID, TEAM_ID)

    def test_a_key_id_that_is_given_counts_more_than_the_name(self, p8):
        assert SigningKey(p8, team_id=TEAM_ID, key_id="XYZ123DEFG").key_id == "XYZ123DEFG"

    def test_it_may_be_text(self, private_key):
        for text in (private_key, private_key.decode()):
            assert SigningKey(text, team_id=TEAM_ID, key_id=KEY_ID).key_id == KEY_ID

    def test_without_a_key_id_it_is_refused(self, private_key, tmp_path):
        (tmp_path / "key.p8").write_bytes(private_key)

        for key in (private_key, tmp_path / "key.p8"):
            with pytest.raises(BadName):
                SigningKey(key, team_id=TEAM_ID)

    @pytest.mark.parametrize(("team_id", "key_id"), [("short", KEY_ID), (TEAM_ID, "short")])
    def test_ids_have_their_form(self, private_key, team_id, key_id):
        with pytest.raises(BadName):
            SigningKey(private_key, team_id=team_id, key_id=key_id)

    @pytest.mark.parametrize("key", ["/nowhere/AuthKey_X.p8", "\0", b"rubbish", "MIGTAgEAMBMGByqGSM49"])
    def test_what_is_no_key_is_refused_without_being_shown(self, key):
        with pytest.raises(BadKey) as refusal:
            SigningKey(key, team_id=TEAM_ID, key_id=KEY_ID)

        assert str(key) not in str(refusal.value)

    def test_its_repr_keeps_the_secret(self, private_key):
        key = SigningKey(private_key, team_id=TEAM_ID, key_id=KEY_ID)

        assert repr(key) == f"SigningKey(team_id='{TEAM_ID}', key_id='{KEY_ID}')"


class TestMinting:
    def test_a_token_lives_for_twelve_hours_and_is_minted_anew_ten_minutes_before_its_end(self, private_key):
        clock = [1_000_000.0]
        source = token_source(SigningKey(private_key, team_id=TEAM_ID, key_id=KEY_ID), lambda: clock[0])
        first = source()

        claims = jwt.decode(first, options={"verify_signature": False})
        assert claims == {"iss": TEAM_ID, "iat": 1_000_000, "exp": 1_043_200}
        clock[0] += 42_599
        assert source() is first
        clock[0] += 1
        assert source() != first

    def test_after_the_clock_was_set_back_it_is_minted_anew(self, private_key):
        clock = [1_000_000.0]
        source = token_source(SigningKey(private_key, team_id=TEAM_ID, key_id=KEY_ID), lambda: clock[0])
        first = source()
        clock[0] -= 1

        assert source() != first


@pytest.mark.parametrize("token", ["", "with space", "line\nbreak", "nul\0", "ümlaut", "x" * 8_193])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token):
    with pytest.raises(BadDeveloperToken) as developer:
        token_source(token, lambda: 0)
    with pytest.raises(BadUserToken) as user:
        checked_user_token(token)

    assert not token or token not in str(developer.value) + str(user.value)


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://example.org/", "https://example.org"),
        ("https://example.org/music//", "https://example.org/music"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_loses_its_last_slash(given, base_url):
    assert checked_base_url(given) == base_url


@pytest.mark.parametrize(
    "base_url",
    ["", "example.org", "ftp://example.org", "http://", "http://a:b@example.org", "http://x/?a=b", "http://x/#a",
     "http://x:65536", "http://a..b", "http://" + "a" * 64, "http://x\n", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(base_url):
    with pytest.raises(BadSetting) as refusal:
        checked_base_url(base_url)

    assert "a:b" not in str(refusal.value)
