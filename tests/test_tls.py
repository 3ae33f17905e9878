"""Certificates: what is served, and one sentence for whatever is not. That TLS works is shown in e2e."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from likewise.errors import BadSetting
from likewise.serving.tls import checked_certificate
from tests.certificates import NOW, VALID_FROM, VALID_UNTIL, certificate_of, key_pem, written

P_256 = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def refused(tmp_path):
    """Say why a certificate and a key are refused."""

    def why(certificate: bytes, key: bytes, now: datetime = NOW) -> str:
        with pytest.raises(BadSetting) as refusal:
            checked_certificate(*written(tmp_path, certificate, key), now=now)
        assert refusal.value.hint
        return str(refusal.value).replace(f"{tmp_path}/", "")

    return why


@pytest.mark.parametrize(
    "key",
    [
        P_256,
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["p256", "p384", "rsa", "ed25519"],
)
def test_a_certificate_and_its_key_are_taken(tmp_path, key):
    files = written(tmp_path, certificate_of(key), key_pem(key))

    assert checked_certificate(*files, now=NOW) == files


def test_the_forms_of_private_keys_and_both_in_one_file_are_taken(tmp_path):
    sec1 = P_256.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    for key in (sec1, certificate_of(P_256) + sec1):
        checked_certificate(*written(tmp_path, certificate_of(P_256), key), now=NOW)


def test_paths_are_made_absolute_for_the_workers(tmp_path, monkeypatch):
    certificate, key = written(tmp_path, certificate_of(P_256), key_pem(P_256))
    monkeypatch.chdir(tmp_path)

    relative = checked_certificate(certificate.relative_to(tmp_path), key.relative_to(tmp_path), now=NOW)

    assert relative == (certificate, key)


def test_links_are_kept_so_that_a_worker_finds_what_was_renewed(tmp_path):
    files = written(tmp_path, certificate_of(P_256), key_pem(P_256))
    links = tmp_path / "live.crt", tmp_path / "live.key"
    for link, file in zip(links, files, strict=True):
        link.symlink_to(file)

    assert checked_certificate(*links, now=NOW) == links


def test_a_file_that_is_missing_or_a_folder_is_named_with_its_variable(tmp_path):
    certificate, key = written(tmp_path, certificate_of(P_256), key_pem(P_256))

    with pytest.raises(BadSetting, match=r"that LIKEWISE_TLS_CERTIFICATE names cannot be read \(No such file"):
        checked_certificate(tmp_path / "nowhere", key, now=NOW)
    with pytest.raises(BadSetting, match=r"that LIKEWISE_TLS_KEY names cannot be read \(Is a directory"):
        checked_certificate(certificate, tmp_path, now=NOW)


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"\xff", key_pem(P_256)])
def test_what_is_no_certificate_is_said_so(refused, rubbish):
    assert refused(rubbish, key_pem(P_256)) == (
        "the file likewise.crt that LIKEWISE_TLS_CERTIFICATE names holds no certificate in PEM"
    )


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", certificate_of(P_256)])
def test_what_is_no_private_key_is_said_so(refused, rubbish):
    assert refused(certificate_of(P_256), rubbish) == (
        "the file likewise.key that LIKEWISE_TLS_KEY names holds no private key in PEM"
    )


def test_a_key_with_a_password_is_refused_with_the_way_to_take_it_off(tmp_path):
    encrypted = P_256.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"swordfish"),
    )
    certificate, key = written(tmp_path, certificate_of(P_256), encrypted)

    with pytest.raises(BadSetting, match="has a password") as refusal:
        checked_certificate(certificate, key, now=NOW)

    assert f"openssl pkey -in {key}" in refusal.value.hint


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(65537, 2056),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=["p521", "secp256k1", "rsa-1024", "rsa-2056", "ed448", "dsa"],
)
def test_a_key_that_the_server_would_die_of_is_refused(refused, key):
    assert refused(certificate_of(P_256), key_pem(key)) == (
        "the private key in likewise.key is of a kind that is not served"
    )


@pytest.fixture
def openssl(tmp_path):
    """Run openssl in a folder, and return what it has written into a file there."""

    def run(command: str, file: str) -> bytes:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / file).read_bytes()

    return run


TOMORROW = datetime.now(UTC) + timedelta(days=1)
SPELLED_OUT = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:explicit"


@pytest.mark.parametrize(
    "kind",
    [
        "-newkey rsa-pss",
        "-newkey ec -pkeyopt ec_paramgen_curve:secp224k1",
        SPELLED_OUT,
    ],
    ids=["rsa-pss", "unknown curve", "curve without its name"],
)
def test_a_certificate_for_a_key_that_the_server_would_die_of_is_refused(refused, openssl, kind):
    certificate = openssl(f"req -x509 {kind} -nodes -keyout x.key -out x.crt -days 9 -subj /CN=x", "x.crt")

    assert refused(certificate, key_pem(P_256), now=TOMORROW) == (
        "the certificate in likewise.crt is for a key of a kind that is not served"
    )


@pytest.mark.parametrize(
    "command",
    [
        f"req {SPELLED_OUT} -nodes -keyout x.key -out x.csr -subj /CN=x",
        "ec -in p256.key -no_public -out x.key",
        "ec -in p256.key -conv_form compressed -out x.key",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out x.key",
    ],
    ids=["curve without its name", "no public half", "short public half", "small exponent"],
)
def test_a_key_written_as_the_server_would_die_of_is_refused(refused, openssl, tmp_path, command):
    (tmp_path / "p256.key").write_bytes(key_pem(P_256))

    assert refused(certificate_of(P_256), openssl(command, "x.key")) == (
        "the private key in likewise.key is of a kind that is not served"
    )


def test_another_certificates_key_is_refused(refused):
    another = ec.generate_private_key(ec.SECP256R1())
    chain = certificate_of(another) + certificate_of(P_256)

    for certificate in (certificate_of(another), chain):
        assert refused(certificate, key_pem(P_256)) == (
            "the private key in likewise.key is not that of the certificate in likewise.crt"
        )


def test_a_certificate_is_good_from_its_first_second_to_before_its_last(tmp_path, refused):
    certificate, key = certificate_of(P_256), key_pem(P_256)
    files = written(tmp_path, certificate, key)
    second = timedelta(seconds=1)

    for now in (VALID_FROM, VALID_UNTIL - second):
        checked_certificate(*files, now=now)
    assert refused(certificate, key, now=VALID_UNTIL) == "the certificate in likewise.crt expired on 2026-01-01"
    assert refused(certificate, key, now=VALID_FROM - second) == (
        "the certificate in likewise.crt is not valid before 2025-01-01"
    )
