"""The sources by name: which setting turns each on, and how it is made. A new adapter is one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.source import Source
from topology.settings import Settings

if TYPE_CHECKING:
    from connectors.nats.link import NatsSettings


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A source that this version has: `configured` says whether settings ask for it, `make` makes its adapter."""

    name: str
    description: str
    configured: Callable[[Settings], bool]
    make: Callable[[Settings], Source]


def nats_settings(settings: Settings) -> "NatsSettings":
    """What a connection to NATS needs."""
    from connectors.nats.link import NatsSettings

    return NatsSettings(
        settings.nats,
        seed_file=settings.nats_seed_file,
        authority_file=settings.nats_authority_file,
        certificate_file=settings.nats_certificate_file,
        key_file=settings.nats_key_file,
    )


def _nats(settings: Settings) -> Source:
    from connectors.nats.source import NatsSource

    return NatsSource(nats_settings(settings), replicas=settings.nats_replicas)


SOURCES: tuple[SourceKind, ...] = (
    SourceKind(
        "nats-source",
        "fills on pd.canonical and bookings on backoffice.booking.in.v1.*, from NATS",
        lambda settings: bool(settings.nats),
        _nats,
    ),
)
SOURCE_BY_NAME = {kind.name: kind for kind in SOURCES}
