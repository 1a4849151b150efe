"""The link to a Kafka cluster: address, encryption and identity, as settings of librdkafka.

Owns: every setting that consumers, producers and administration share.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.kafka.errors import LinkError
from schemas.topics import TOPIC_BY_NAME

SCHEME = "kafka://"


@dataclass(frozen=True, slots=True)
class Link:
    """Where the brokers are and how to speak to them.

    `ca` is a file with the certificates that may have signed a broker's (where none is named, those of the system);
    `certificate` and `key` are files by which this client shows who it is; `password` is that of `user`. `generation` is
    that of the topics in force (`connectors.kafka.layout`).
    """

    brokers: str
    protocol: str = "plaintext"
    ca: str = ""
    certificate: str = ""
    key: str = ""
    mechanism: str = "SCRAM-SHA-512"
    user: str = ""
    password: str = field(default="", repr=False)
    generation: int = 0

    def topic(self, name: str) -> str:
        """What a topic of the registry, or a changelog, is called on the cluster: keyed ones by their generation."""
        known = TOPIC_BY_NAME.get(name)
        if self.generation == 0 or (known is not None and not known.partitioned):
            return name
        return f"{name}.g{self.generation}"

    def common(self) -> dict[str, Any]:
        """What every client is told."""
        told: dict[str, Any] = {
            "bootstrap.servers": self.brokers,
            "security.protocol": self.protocol,
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
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.key,
        }
        told.update((name, value) for name, value in optional.items() if value)
        if self.protocol.startswith("sasl_"):
            told["sasl.mechanism"] = self.mechanism
            told["sasl.username"] = self.user
            told["sasl.password"] = self.password
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
            # A broker takes whatever comes first of a producer that it does not know in a partition. Where the first of two
            # requests meets a leader that is just starting and the second is taken, librdkafka believes both were: the
            # first is lost and reported as acknowledged. So nothing is sent behind what is not answered.
            "max.in.flight": 1,
            "linger.ms": 0,
            "compression.type": "lz4",
            # Topics have bounds of their own; dead letters must not fail on this one.
            "message.max.bytes": 64 * 1024 * 1024,
            "queue.buffering.max.kbytes": 256 * 1024,
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def parse_url(url: str, **security: Any) -> Link:
    """The link that `kafka://host:port,host:port` names; `security` as in `Link`. Raises LinkError."""
    brokers = url.removeprefix(SCHEME).rstrip("/")
    parts = brokers.split(",")
    if not url.startswith(SCHEME) or not all(_is_address(part) for part in parts):
        raise LinkError(f"expected kafka://host:port (several with commas), found {url!r}")
    link = Link(brokers, **security)
    _check(link)
    return link


def _check(link: Link) -> None:
    for name in ("ca", "certificate", "key"):
        path = getattr(link, name)
        if path and not Path(path).is_file():
            raise LinkError(f"expected a file of PEM as kafka_{name}, found none at {path}")
    if bool(link.certificate) != bool(link.key):
        raise LinkError("expected kafka_certificate and kafka_key together, found one of them")
    sasl = link.protocol.startswith("sasl_")
    if sasl and not (link.user and link.password):
        raise LinkError(
            f"expected kafka_user and kafka_password with kafka_security_protocol {link.protocol}, found an empty one"
        )
    if not sasl and link.user:
        raise LinkError(
            f"expected kafka_security_protocol sasl_ssl (or sasl_plaintext) with kafka_user, found {link.protocol}"
        )
    if link.protocol in ("plaintext", "sasl_plaintext") and (link.ca or link.certificate):
        raise LinkError(
            f"expected kafka_security_protocol ssl or sasl_ssl with kafka_ca or kafka_certificate, found {link.protocol}"
        )


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65_536
