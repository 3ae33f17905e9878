"""TLS: a certificate and its key, looked at before anything listens, for the server gives no reasons."""

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import PublicKeyAlgorithmOID

from likewise.config import variable
from likewise.errors import BadSetting

_PEM_BYTES_MAX = 1024 * 1024
_RSA_BITS = {2_048, 3_072, 4_096}
_RSA_EXPONENT_MIN = 65_537
_CURVES = {"secp256r1", "secp384r1"}
_PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")
"""How a curve begins that is not named but spelled out (RFC 3279, section 2.3.5)."""

_ec_key_in = re.compile(rb"-----BEGIN (?:EC )?PRIVATE KEY-----([^-]+)").search

Read = TypeVar("Read")


class Certificate(NamedTuple):
    """Two PEM files: the server's certificate, followed by those that vouch for it, and its private key."""

    certificate: Path
    key: Path


def checked_certificate(certificate: Path, key: Path, *, now: datetime) -> Certificate:
    """Check that both files can be read, are in PEM, belong together and are good now; raise `BadSetting`."""
    whats_in = _read("tls_certificate", certificate, "certificate", x509.load_pem_x509_certificates)[0]
    private_key = _read("tls_key", key, "private key", lambda pem: _private_key(pem, key))
    if not _is_served_for(whats_in):
        raise BadSetting(f"the certificate in {certificate} is for a key of a kind that is not served", _HINT_SERVED)
    if private_key.public_key() != whats_in.public_key():
        raise BadSetting(
            f"the private key in {key} is not that of the certificate in {certificate}",
            "in the file of the certificate, the server's own comes first",
        )
    if whats_in.not_valid_after_utc <= now:
        raise BadSetting(
            f"the certificate in {certificate} expired on {_day(whats_in.not_valid_after_utc)}", "renew it"
        )
    if whats_in.not_valid_before_utc > now:
        raise BadSetting(
            f"the certificate in {certificate} is not valid before {_day(whats_in.not_valid_before_utc)}",
            "is the clock right?",
        )
    # Absolute, but with links as they are: what is renewed often comes as another file behind the same link, and the
    # former is gone when a worker that takes a dead one's place reads it.
    return Certificate(certificate.absolute(), key.absolute())


def _read(name: str, path: Path, what: str, load: Callable[[bytes], Read]) -> Read:
    try:
        with path.open("rb") as file:
            pem = file.read(_PEM_BYTES_MAX)
    except OSError as error:
        raise BadSetting(
            f"the file {path} that {variable(name)} names cannot be read ({error.strerror})", "check its path and mode"
        ) from error
    try:
        return load(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadSetting(
            f"the file {path} that {variable(name)} names holds no {what} in PEM", "is it the right file?"
        ) from error


# What is not served would make the server abort the process.
_HINT_SERVED = "use ECDSA on P-256 or P-384, each by its name, Ed25519, or RSA of 2048, 3072 or 4096 bits"


def _private_key(pem: bytes, path: Path) -> Any:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise BadSetting(
            f"the private key in {path} has a password, which nobody could type when the service starts",
            f"write it without: `(umask 077; openssl pkey -in {path} -out likewise.key)`",
        ) from error
    if not _is_served(key, pem):
        raise BadSetting(f"the private key in {path} is of a kind that is not served", _HINT_SERVED)
    return key


def _is_served(key: Any, pem: bytes) -> bool:
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.curve.name in _CURVES and _is_plain(key, pem)
        case rsa.RSAPrivateKey():
            return key.key_size in _RSA_BITS and key.public_key().public_numbers().e >= _RSA_EXPONENT_MIN
        case _:
            return isinstance(key, ed25519.Ed25519PrivateKey)


def _is_plain(key: ec.EllipticCurvePrivateKey, pem: bytes) -> bool:
    """Say whether a key is written with its public half, and its curve by name."""
    found = _ec_key_in(pem)
    der = b64decode(found[1]) if found else b""
    public_half = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public_half in der and _PRIME_FIELD not in der


def _is_served_for(certificate: x509.Certificate) -> bool:
    """Say whether the certificate's key is written as the server writes the other half of it, to compare them."""
    try:
        plain = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return False
    is_for_pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
    return not is_for_pss and plain in certificate.public_bytes(Encoding.DER)


def _day(time: datetime) -> str:
    return time.astimezone(UTC).date().isoformat()
