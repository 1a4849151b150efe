"""The link to a Kafka cluster: address, encryption and identity, as settings of librdkafka.

Owns: every setting that consumers, producers and administration share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kafka.errors import LinkError

SCHEME = "kafka://"
_SECURITY = {
    (False, False): "plaintext",
    (True, False): "ssl",
    (False, True): "sasl_plaintext",
    (True, True): "sasl_ssl",
}


@dataclass(frozen=True, slots=True)
class Link:
    """Where the brokers are and how to speak to them.

    `tls_ca` (a file of certificates) or `tls` turns encryption on; `username` turns SASL on, by `mechanism`.
    """

    brokers: str
    tls: bool = False
    tls_ca: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    username: str | None = None
    password: str | None = None
    mechanism: str = "SCRAM-SHA-512"

    def common(self) -> dict[str, Any]:
        """What every client is told."""
        encrypted = self.tls or self.tls_ca is not None
        told: dict[str, Any] = {
            "bootstrap.servers": self.brokers,
            "security.protocol": _SECURITY[encrypted, self.username is not None],
            # librdkafka waits 100 ms at first by default: a transaction then takes 160 ms instead of 20.
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 100,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 1_000,
            "socket.keepalive.enable": True,
            # Who watches lag and errors says so; librdkafka's own lines would go to stderr unasked.
            "log_level": 2,
        }
        optional = {
            "ssl.ca.location": self.tls_ca,
            "ssl.certificate.location": self.tls_certificate,
            "ssl.key.location": self.tls_key,
        }
        told.update((name, value) for name, value in optional.items() if value is not None)
        if self.username is not None:
            told["sasl.mechanism"] = self.mechanism
            told["sasl.username"] = self.username
            told["sasl.password"] = self.password or ""
        return told

    def consumer(self, group: str, **more: Any) -> dict[str, Any]:
        """A consumer that commits nothing by itself, reads committed records from the start, and fetches ahead."""
        return {
            **self.common(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "range",
            "enable.partition.eof": False,
            # Without these librdkafka stops fetching for a second when its queue is full (31k against 330k/s).
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.wait.max.ms": 100,
            **{name.replace("_", "."): value for name, value in more.items()},
        }

    def producer(self, **more: Any) -> dict[str, Any]:
        """An idempotent producer that waits for all replicas."""
        return {
            **self.common(),
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "compression.type": "lz4",
            "message.max.bytes": 16 * 1024 * 1024,
            "queue.buffering.max.kbytes": 256 * 1024,
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def parse_url(url: str, security: Mapping[str, Any] | None = None) -> Link:
    """The link that `kafka://host:port,host:port` names. Raises LinkError."""
    brokers = url.removeprefix(SCHEME).rstrip("/")
    parts = brokers.split(",")
    if not url.startswith(SCHEME) or not all(_is_address(part) for part in parts):
        raise LinkError(f"expected kafka://host:port (several with commas), found {url!r}")
    return Link(brokers, **(security or {}))


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65_536
