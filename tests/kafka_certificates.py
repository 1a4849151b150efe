"""Certificates for a broker and its clients, made by openssl."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """A certificate and its key, as files; `both` holds the two."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Who signs: `certificate` is what others trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl("req", "-x509", *_fresh(self._key, "authority"), "-days", "2", "-out", self.certificate)

    def sign(self, name: str) -> Identity:
        """A certificate of this machine, for a broker or a client."""
        certificate, key, both = (self._folder / f"{name}.{kind}" for kind in ("pem", "key", "both"))
        request, extensions = self._folder / f"{name}.csr", self._folder / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", *_fresh(key, name), "-out", request)
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *signed, "-days", "2", "-out", certificate)
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        return Identity(certificate, key, both)


def _fresh(key: Path, name: str) -> tuple[str | Path, ...]:
    return ("-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key)


def _openssl(*arguments: str | Path) -> None:
    found = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
