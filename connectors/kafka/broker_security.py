"""What a broker of this machine needs to take clients by TLS and SASL SCRAM only.

Assumes: PEM files; the key is PKCS 8 and not encrypted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MECHANISM = "SCRAM-SHA-512"
_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True, slots=True)
class BrokerSecurity:
    """`identity` is a file with the broker's key and certificate, `ca` one with what signed its clients' (empty:
    clients show none); `users` are passwords by name."""

    identity: Path
    users: Mapping[str, str]
    ca: Path | None = None

    def settings(self) -> dict[str, str]:
        """Settings of the broker."""
        told = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.identity),
            "sasl.enabled.mechanisms": _MECHANISM,
            f"listener.name.sasl_ssl.{_MECHANISM.lower()}.sasl.jaas.config": _LOGIN,
        }
        if self.ca is not None:
            told |= {
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.ca),
                "listener.name.sasl_ssl.ssl.client.auth": "required",
            }
        return told

    def format_options(self) -> list[str]:
        """Options of the formatting, which makes the users."""
        return [
            option
            for name, password in self.users.items()
            for option in ("--add-scram", f"{_MECHANISM}=[name={name},password={password}]")
        ]
