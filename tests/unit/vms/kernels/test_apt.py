"""What apt's own words mean for the user."""

from __future__ import annotations

import pytest

from vms.kernels.apt import failure_of
from vms.tool import ToolFailed

UNKNOWN = "a Release file is not signed by a key of its suite's keyring"
CHANGED = "a Release file is not what was signed"
FUTURE = "a Release file is from the future: check this host's clock"
EXPIRED = "a Release file is signed by a key that has expired: renew its suite's keyring"
WEAK = "a Release file is signed in a way that this host's apt does not trust"
DAMAGED = "a Release file is damaged"


def meaning(warning: str) -> str:
    """What the user reads before apt's words, when apt refused a Release file with this warning."""
    said = f"W: {warning}\nE: The repository 'http://mirror.invalid stable InRelease' is not signed.\n"
    message = str(failure_of(ToolFailed(["apt-get"], 100, said, "updating"), "updating"))
    return message.removeprefix("updating: ").partition(". apt says: ")[0]


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("Verifying signature:            Message has been manipulated", CHANGED),
        (
            "Missing key 40FF524538AAD0DD1C0ADF51A77860FB92EBF49E, which is needed to verify signature.",
            UNKNOWN,
        ),
        (
            "Signing key on 0F0321CB71DC81E12DF0AE3AA27AE88546423261 is bad:            Invalid key: "
            '"certificate is revoked"',
            UNKNOWN,
        ),
        (
            "Signing key on 7CE76D6FEC33838ED982E386AD3C02E2D8637878 is bad:            The primary key is "
            "not live   because: Expired on 2026-11-03T06:42:36Z",
            EXPIRED,
        ),
        ("Verifying signature:            Not live until 2026-12-18T06:41:49Z", FUTURE),
        (
            "Verifying signature:            Policy rejected non-revocation signature (Text) requiring "
            "collision resistance   because: SHA1 is not considered secure since 2013-02-01T00:00:00Z",
            WEAK,
        ),
        (
            "Signing key on 35E15E03CC2E4832A400C166C6295B8A8541F8D5 is not bound:            Policy "
            "rejected asymmetric algorithm   because: RSA1024 is not considered secure since "
            "2014-02-01T00:00:00Z",
            WEAK,
        ),
        (
            "Error: Malformed packet: Malformed CTB: MSB of ptag (0b00000000) not set.  Stack backtrace:    "
            "0: <unknown>    1: __libc_start_main",
            DAMAGED,
        ),
    ],
)
def test_what_sqv_says_of_a_signature(said: str, means: str) -> None:
    failed = "Sub-process /usr/bin/sqv returned an error code (1), error message is"
    where = "Signature verification failed: http://mirror.invalid stable InRelease"
    assert meaning(f"{where}: {failed}: {said}") == means


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("The following signatures were invalid: BADSIG 302F21D7EB0C6F46 good@nowhere", CHANGED),
        ("The following signatures were invalid: REVKEYSIG A27AE88546423261 revoked@nowhere", UNKNOWN),
        ("The following signatures were invalid: EXPKEYSIG AD3C02E2D8637878 old@nowhere", EXPIRED),
        (
            "The following signatures couldn't be verified because the public key is not available: "
            "NO_PUBKEY A77860FB92EBF49E",
            UNKNOWN,
        ),
    ],
)
def test_what_gpgv_says_of_a_signature(said: str, means: str) -> None:
    assert meaning(f"GPG error: http://mirror.invalid stable InRelease: {said}") == means
