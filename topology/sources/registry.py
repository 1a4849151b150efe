"""The sources by name: which setting turns each on, and how it is made. A new adapter is one line here."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topology.settings import Settings
from topology.sinks.sessions import Sessions

if TYPE_CHECKING:
    from connectors.marks.polled import PolledQuotes
    from connectors.nats.link import NatsSettings


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A source that this version has: `configured` says whether settings ask for it, `runner` makes what runs it."""

    name: str
    description: str
    configured: Callable[[Settings], bool]
    runner: Callable[[Settings], Sessions]


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


def _nats(settings: Settings) -> Sessions:
    from connectors.nats.source import NatsSource
    from topology.sources.intake import Intake
    from topology.sources.runner import SourceRunner

    source = NatsSource(nats_settings(settings), replicas=settings.nats_replicas)
    return SourceRunner(source, Intake(settings, source.name, time.time_ns), settings.data)


def polled(settings: Settings, name: str) -> "PolledQuotes":
    """The service that a source of marks looks at."""
    if name == MOEX_MARKS:
        from connectors.marks.moex_source import MoexQuotes

        return MoexQuotes(settings.moex, settings.moex_places, settings.moex_boards, settings.moex_seconds)
    if name == BINANCE_MARKS:
        from connectors.marks.binance_source import BinanceQuotes

        addresses = {"spot": settings.binance_spot, "usdm": settings.binance_usdm, "cm": settings.binance_cm}
        return BinanceQuotes(addresses, settings.binance_symbols, settings.binance_seconds)
    from connectors.marks.alor_source import AlorQuotes

    return AlorQuotes(
        settings.alor,
        settings.alor_symbols,
        settings.alor_seconds,
        authority=settings.alor_authority,
        token_file=settings.alor_token_file,
    )


def _marks(name: str) -> Callable[[Settings], Sessions]:
    def make(settings: Settings) -> Sessions:
        from domain.marks.classes import ClassRules
        from topology.marks.intake import MarkIntake
        from topology.marks.known import known_marks
        from topology.marks.loader import MarkLoader

        return MarkLoader(
            polled(settings, name),
            MarkIntake(settings, name, time.time_ns),
            ClassRules(settings.mark_stale_seconds),
            settings.data,
            time.time_ns,
            known_marks(settings, name),
        )

    return make


MARK_SOURCES = (MOEX_MARKS, ALOR_MARKS, BINANCE_MARKS) = ("moex-marks", "alor-marks", "binance-marks")
"""Sources of marks."""


SOURCES: tuple[SourceKind, ...] = (
    SourceKind(
        "nats-source",
        "fills on pd.canonical and bookings on backoffice.booking.in.v1.*, from NATS",
        lambda settings: bool(settings.nats),
        _nats,
    ),
    SourceKind(
        MOEX_MARKS,
        "marks of the Moscow Exchange, polled from its ISS",
        lambda settings: bool(settings.moex and settings.moex_places),
        _marks(MOEX_MARKS),
    ),
    SourceKind(
        ALOR_MARKS,
        "marks of the broker ALOR, polled",
        lambda settings: bool(settings.alor and settings.alor_symbols),
        _marks(ALOR_MARKS),
    ),
    SourceKind(
        BINANCE_MARKS,
        "marks of Binance's best bid and ask, from its web sockets",
        lambda settings: bool(settings.binance_symbols),
        _marks(BINANCE_MARKS),
    ),
)
SOURCE_BY_NAME = {kind.name: kind for kind in SOURCES}
