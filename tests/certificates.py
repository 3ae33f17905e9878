"""Self-signed certificates for tests, in the files that an operator would name."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

VALID_FROM = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
VALID_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def certificate_of(key: Any, *, valid_from: datetime = VALID_FROM, valid_until: datetime = VALID_UNTIL) -> bytes:
    """Sign a certificate for localhost and 127.0.0.1 with its own key; PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def key_pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def written(folder: Path, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    """Write both to files; return their paths."""
    paths = folder / "likewise.crt", folder / "likewise.key"
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(key)
    return paths


def made_today(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that is good now, and write it to files."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = certificate_of(
        key, valid_from=now.replace(year=now.year - 1, day=1), valid_until=now.replace(year=now.year + 1, day=1)
    )
    return written(folder, certificate, key_pem(key))
