"""The certificate with which a scheduler, its workers and runs recognise each other.

Dask has no login: whoever gets a word in runs programs as us, on loopback too, where every local
user can connect. So all of its traffic is TLS, and both sides of a connection must show a
certificate of one authority. It is made at the first start, with a key that only this user can
read; other machines get a copy of the file.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vms.errors import HostError, UsageError
from vms.files import disk_errors

if TYPE_CHECKING:
    from distributed import Security

FLAG = "--without-authentication"
PORT = 8786  # Dask's own
_ADDRESS = re.compile(r"(tls|tcp)://[^\s/]+:[0-9]{1,5}")
"""The flag of scheduler, worker and matrix for Dask without certificates."""

_DAYS = 3650
_CLOCKS_DIFFER = timedelta(days=1)


def security(*, authenticated: bool) -> Security:
    """What Dask's scheduler, workers and clients need to recognise each other.

    Certificates that the user's own configuration of Dask names come before ours. Raises HostError
    if ours cannot be made or others could have read it.
    """
    # Not at the top: Dask's import takes a while, and only runs on several machines need it.
    import dask
    from distributed import Security

    if not authenticated:
        return Security(require_encryption=False)
    if dask.config.get("distributed.comm.tls.ca-file"):
        return Security(require_encryption=True)
    pem = str(identity())
    roles = {
        f"tls_{role}_{part}": pem for role in ("scheduler", "worker", "client") for part in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=pem, **roles)


def check_address(address: str, *, authenticated: bool) -> None:
    """Raises UsageError unless this is the address of a scheduler that fits the flag
    `--without-authentication`.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"{address} is not the address of a scheduler; write tls://host:{PORT}")
    scheme = address.partition("://")[0]
    if scheme == "tcp" and authenticated:
        raise UsageError(
            f"{address}: over tcp:// anybody who reaches the address can run programs as you; start the"
            f" scheduler again, which then listens on tls://, or add {FLAG}"
        )
    if scheme == "tls" and not authenticated:
        raise UsageError(f"{address}: tls:// authenticates both sides; leave out {FLAG}")


def identity_path() -> Path:
    """Where this user's certificate and key are: `$XDG_CONFIG_HOME/conntrack-matrix/tls/dask.pem`,
    by default under `~/.config`.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "conntrack-matrix" / "tls" / "dask.pem"


def identity() -> Path:
    """The file with certificate, key and authority, which is made if there is none.

    Raises HostError if it cannot be made, belongs to another user, or others may read it.
    """
    path = identity_path()
    if not path.exists():
        with disk_errors(f"writing {path}"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-") as file:
                file.write(_make())
                file.flush()
                os.fsync(file.fileno())
                # Unlike a rename, a link leaves the file of a process that was faster.
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
    for part, most in ((path.parent, "700"), (path, "600")):
        about = part.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise HostError(
                f"{part} must belong to you and be closed to others, since its key opens every scheduler and"
                f" worker of yours: chown it, `chmod {most} {part}`, and make a new one if others had access"
            )
    return path


def _make() -> bytes:
    """A certificate, its key, and the authority that signed it, whose own key is forgotten."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("conntrack-matrix authority", authority_key.public_key(), authority_key, None)
    certificate = _certificate("conntrack-matrix", key.public_key(), authority_key, authority)
    return (
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + authority.public_bytes(Encoding.PEM)
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePublicKey,
    signed_with: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate | None,
) -> x509.Certificate:
    """A certificate of RFC 5280's profile; one without `authority` is an authority itself."""
    itself = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    is_authority = authority is None
    usage = {
        **dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only", "crl_sign"),
            False,
        ),
        "digital_signature": not is_authority,
        "key_cert_sign": is_authority,
    }  # fmt: skip
    builder = (
        x509.CertificateBuilder(authority.subject if authority else itself, itself, key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_with.public_key()), critical=False
        )
    )
    if authority:
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(both, critical=False)
    return builder.sign(signed_with, hashes.SHA256())
