"""The sinks by name: which setting turns each on, and how it is made. A new adapter is one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.sink import Sink
from topology.settings import Settings, on_kafka


@dataclass(frozen=True, slots=True)
class SinkKind:
    """A sink that this version has: `configured` says whether settings ask for it, `make` makes its adapter."""

    name: str
    description: str
    configured: Callable[[Settings], bool]
    make: Callable[[Settings], Sink]


def _postgres_trades(settings: Settings) -> Sink:
    from connectors.postgres.trades import TradesSink

    return TradesSink(settings.postgres)


def _postgres_positions(settings: Settings) -> Sink:
    from connectors.postgres.positions import PositionsSink
    from topology.sinks.position_steps import steps_of

    return PositionsSink(settings.postgres, steps_of)


def _postgres_dead_letters(settings: Settings) -> Sink:
    from connectors.postgres.dead_letters import DeadLettersSink

    return DeadLettersSink(settings.postgres)


def _postgres_money(settings: Settings) -> Sink:
    from connectors.postgres.money import MoneySink

    return MoneySink(settings.postgres)


def _postgres_values(settings: Settings) -> Sink:
    from connectors.postgres.values import ValuesSink

    return ValuesSink(settings.postgres)


def _postgres_snapshots(settings: Settings) -> Sink:
    from connectors.postgres.snapshots import SnapshotsSink

    return SnapshotsSink(settings.postgres)


def _alerts_webhook(settings: Settings) -> Sink:
    from connectors.alerts.sink import WebhookSink

    return WebhookSink(settings.alert_webhook, settings.alert_seconds)


def _alerts_telegram(settings: Settings) -> Sink:
    from connectors.alerts.sink import TelegramSink

    return TelegramSink(
        settings.alert_telegram_address,
        settings.alert_telegram_token,
        settings.alert_telegram_chat,
        settings.alert_seconds,
    )


def _nats(settings: Settings) -> Sink:
    from connectors.nats.sink import NatsSink
    from topology.sources.registry import nats_settings

    return NatsSink(
        nats_settings(settings), batch_events_max=settings.sink_events_max, replicas=settings.nats_replicas
    )


def _questdb(settings: Settings) -> Sink:
    from connectors.questdb.bookings import BookingsSink
    from connectors.questdb.server import QuestdbSettings

    return BookingsSink(QuestdbSettings(settings.questdb), settings.questdb_flush_seconds)


def _questdb_bars(settings: Settings) -> Sink:
    from connectors.questdb.bars import BarsSink
    from connectors.questdb.server import QuestdbSettings

    return BarsSink(QuestdbSettings(settings.questdb), settings.questdb_flush_seconds)


def _questdb_reported(settings: Settings) -> Sink:
    from connectors.questdb.reported import ReportedPositionsSink
    from connectors.questdb.server import QuestdbSettings

    return ReportedPositionsSink(QuestdbSettings(settings.questdb), settings.questdb_flush_seconds)


def _redis(settings: Settings) -> Sink:
    from connectors.redis.sink import RedisSink

    return RedisSink(settings.redis, settings.redis_seconds)


def _pricing(settings: Settings) -> Sink:
    import time
    from collections.abc import Sequence
    from typing import Any

    from connectors.pricing.bridge import PriceRequestsSink
    from connectors.pricing.client import EngineAddress, PricingClient
    from schemas import topics
    from topology.sinks.entry import LogEntry

    engine = EngineAddress(
        settings.pricing_engine,
        authority_file=settings.pricing_engine_authority_file,
        certificate_file=settings.pricing_engine_certificate_file,
        key_file=settings.pricing_engine_key_file,
        call_seconds=settings.pricing_engine_seconds,
    )
    entry = LogEntry(settings, time.time_ns)

    def append(answers: Sequence[Any]) -> None:
        entry.publish(topics.VALUATION_INPUT, answers, topics.underlying_key)

    return PriceRequestsSink(lambda: PricingClient(engine), append)


SINKS: tuple[SinkKind, ...] = (
    SinkKind(
        "postgres-trades",
        "trades with their history, rejections and definitions into Postgres",
        lambda settings: bool(settings.postgres),
        _postgres_trades,
    ),
    SinkKind(
        "postgres-positions",
        "positions and lots into Postgres, with what each trade did in both times",
        lambda settings: bool(settings.postgres),
        _postgres_positions,
    ),
    SinkKind(
        "postgres-dead-letters",
        "dead letters with their bytes, and what became of them, into Postgres",
        lambda settings: bool(settings.postgres),
        _postgres_dead_letters,
    ),
    SinkKind(
        "postgres-money",
        "the ledger, payment orders, balances and currency positions into Postgres",
        lambda settings: bool(settings.postgres),
        _postgres_money,
    ),
    SinkKind(
        "postgres-values",
        "what positions are worth, and the P&L of their days, into Postgres",
        lambda settings: bool(settings.postgres),
        _postgres_values,
    ),
    SinkKind(
        "postgres-snapshots",
        "the state of positions into Postgres, to start from when it is lost",
        # A cluster keeps its tables' changelogs in several copies, and no command of it reads this one.
        lambda settings: bool(settings.postgres) and not on_kafka(settings),
        _postgres_snapshots,
    ),
    SinkKind(
        "alerts-webhook",
        "messages about dead letters to a webhook",
        lambda settings: bool(settings.alert_webhook),
        _alerts_webhook,
    ),
    SinkKind(
        "alerts-telegram",
        "messages about dead letters to a Telegram chat",
        lambda settings: bool(settings.alert_telegram_token and settings.alert_telegram_chat),
        _alerts_telegram,
    ),
    SinkKind(
        "nats",
        "everything that PKS publishes, to the streams of NATS",
        lambda settings: bool(settings.nats),
        _nats,
    ),
    SinkKind(
        "questdb",
        "bookings and corrections as a time series in QuestDB",
        lambda settings: bool(settings.questdb),
        _questdb,
    ),
    SinkKind(
        "questdb-bars",
        "bars of prices into QuestDB",
        lambda settings: bool(settings.questdb),
        _questdb_bars,
    ),
    SinkKind(
        "questdb-reported",
        "positions as exchanges state them into QuestDB",
        lambda settings: bool(settings.questdb),
        _questdb_reported,
    ),
    SinkKind(
        "redis",
        "the newest marks and curves into Redis",
        lambda settings: bool(settings.redis),
        _redis,
    ),
    SinkKind(
        "pricing",
        "what only the pricing engine can price, to it; its answers into the log",
        lambda settings: bool(settings.pricing_engine),
        _pricing,
    ),
)
SINK_BY_NAME = {kind.name: kind for kind in SINKS}


def configured(settings: Settings) -> list[str]:
    """The names of the sinks that settings ask for."""
    return [kind.name for kind in SINKS if kind.configured(settings)]
