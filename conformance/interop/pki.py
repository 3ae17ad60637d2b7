"""Certificate authorities, certificates and revocation lists for the TLS checks."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Authority:
    """A CA that keeps its files in a folder."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            _draft(self._subject, self._subject, self._key, 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = write(folder / f"{name}.pem", _pem(self.certificate))

    def issue(self, name: str, *, server: bool = False, valid: timedelta = 30 * DAY, file: str | None = None):
        """A certificate for this common name, as the files of chain and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        draft = _draft(_named(name), self._subject, key, valid)
        draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        draft = draft.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if server:
            local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            draft = draft.add_extension(x509.SubjectAlternativeName(local), critical=False)
        certificate = draft.sign(self._key, hashes.SHA256())
        return Pair(self.folder, file or name, certificate, key)

    def revoke(self, file: Path, *pairs: "Pair"):
        """Writes the list of what is revoked."""
        now = datetime.now(UTC)
        draft = x509.CertificateRevocationListBuilder().issuer_name(self._subject)
        draft = draft.last_update(now - DAY).next_update(now + 30 * DAY)
        draft = draft.add_extension(x509.CRLNumber(len(pairs) + 1), critical=False)
        draft = draft.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        for pair in pairs:
            entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
            draft = draft.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        write(file, draft.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


class Pair:
    """A certificate and its key, in files."""

    def __init__(self, folder: Path, name: str, certificate, key):
        self.certificate = certificate
        self.chain = write(folder / f"{name}.crt", _pem(certificate))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.key = write(folder / f"{name}.key", private)


def write(file: Path, content: bytes) -> Path:
    """Puts a file in its place in one step, as whoever renews certificates should."""
    draft = file.with_name(file.name + ".new")
    draft.write_bytes(content)
    os.replace(draft, file)
    return file


def _draft(subject, issuer, key, valid):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + valid)
    )


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
