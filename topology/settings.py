"""Settings: one documented file, the environment, and the command line, in rising order of precedence.

The file is `pks.toml` in the working folder (or the one that `PKS_SETTINGS` names); each field below is a key
of it, and `PKS_<FIELD>` in the environment. `pks doctor` prints what is in force, with secrets masked.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.topics import PARTITIONS_DEFAULT

SHARED_MEMORY = "/pks-positions-v1"
"""The usual name of the shared memory of positions."""

KAFKA = "kafka://"
"""How the transport of a cluster begins."""

ALL_STAGES: Literal["all"] = "all"


class Settings(BaseSettings):
    """What an operator may choose; the description of each field is its documentation."""

    model_config = SettingsConfigDict(env_prefix="PKS_", extra="forbid")

    data: Path = Field(Path(".pks"), description="folder of the embedded log and its state")
    transport: str = Field("embedded://", description="embedded:// or kafka://host:port[,host:port]")
    partitions: int = Field(
        PARTITIONS_DEFAULT,
        ge=1,
        le=1024,
        description="partitions of keyed topics, as the log has them; `pks topology repartition` moves a log",
    )
    stages: Literal["all", "books"] = Field(
        ALL_STAGES,
        description="which stages run: all, or the books alone (capture and positions), without what hangs on them",
    )
    reporting_currency: str = Field(
        "EUR",
        pattern=r"^[A-Z0-9]{3,12}$",
        description="in which open currency positions are measured, of entities that `pks ocp-define` does not name",
    )
    fx_pivot: str = Field(
        "USD",
        pattern=r"^[A-Z0-9]{3,12}$",
        description="the currency through which two others are converted where their own pair has no rate",
    )
    guarantees: dict[str, Literal["exactly_once", "low_latency"]] = Field(
        {},
        description="by stage, what holds on Kafka: exactly_once (where none is named) or low_latency",
    )
    workers: int = Field(1, ge=1, le=256, description="worker processes of `pks up` on Kafka")
    worker_name: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="what the workers of `pks up` on Kafka are named after (NAME-1, NAME-2); empty: the host's name",
    )
    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext",
        description="how brokers are spoken to: encrypted (ssl), with a user (sasl), both or neither",
    )
    kafka_ca: str = Field(
        "", description="PEM file of the certificates that sign the brokers'; empty: those of the system"
    )
    kafka_certificate: str = Field(
        "", description="PEM file of the certificate that shows brokers who this is"
    )
    kafka_key: str = Field("", description="PEM file of the key of `kafka_certificate`")
    kafka_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="how a user proves itself to the brokers"
    )
    kafka_user: str = Field("", description="user at the brokers")
    kafka_password: SecretStr = Field(SecretStr(""), description="password of `kafka_user`")
    replicas: int = Field(1, ge=1, le=32, description="copies of each topic that is made on Kafka")
    in_sync_replicas_min: int = Field(
        1, ge=1, le=32, description="copies that must have a record before Kafka acknowledges it"
    )
    session_seconds: float = Field(
        10.0, ge=1, le=300, description="silence after which Kafka gives a worker's partitions to others"
    )
    stuck_seconds: float = Field(
        60.0,
        ge=1,
        description="without progress while input waits and the brokers answer: then a worker is killed and restarted",
    )
    standby: int = Field(
        1,
        ge=0,
        le=2,
        description="workers on Kafka that may end at once and have their partitions go to warm tables; 0 keeps none",
    )
    sync: Literal["always", "group", "os"] = Field(
        "group",
        description="when a commit reaches the disk: each one, in groups of some ms, or when the OS likes",
    )
    step_events_max: int = Field(
        2_000, ge=1, le=100_000, description="most records of one step; each is a frame of events"
    )
    step_bytes_max: int = Field(512 * 1024, ge=1024, description="most bytes of input of one step")
    step_backlog_bytes_max: int = Field(
        8 * 1024 * 1024,
        ge=1024,
        description="most bytes of input of one step where more waits than a step takes: half of it is taken then",
    )
    queue_records_max: int = Field(
        10_000,
        ge=10,
        description="most records by which a stage may be behind in a partition before senders wait",
    )
    waiting_corrections_max: int = Field(
        100_000, ge=1, description="most amends and cancels that wait for their trade, each partition"
    )
    waiting_ticks_max: int = Field(
        10, ge=1, description="clock ticks that an amend or cancel waits for its trade before it is rejected"
    )
    waiting_bookings_max: int = Field(
        50_000,
        ge=1,
        description="bookings that wait for a re-match, each partition, from which on the partition takes in no more",
    )
    clock_tick_seconds: float = Field(
        30.0, gt=0, description="seconds between clock ticks in every partition"
    )
    cached_lots_max: int = Field(
        2_000_000,
        ge=1_000,
        description="most open lots kept in memory, each partition; the rest is read again",
    )
    checkpoint_spacing_bytes: int = Field(
        1024 * 1024,
        ge=0,
        description="bytes of table changes of a partition between two checkpoints for looking back; 0 takes none",
    )
    checkpoints_max: int = Field(
        2_000,
        ge=16,
        description="most checkpoints of a partition; where more would be, they stand farther apart",
    )
    checkpoint_bytes_max: int = Field(
        64 * 1024**3,
        ge=1024 * 1024,
        description="most bytes of all checkpoints on the disk, beyond which they stand farther apart",
    )
    shared_memory: str = Field(
        SHARED_MEMORY,
        description="name of the shared-memory directory of positions; empty for none. Marks are in /md-marks-v1 beside "
        "the usual name, and in NAME.md.marks beside another one",
    )
    shared_memory_slots: int = Field(16_384, ge=16, description="slots of the first shared-memory segment")
    web_host: str = Field("127.0.0.1", description="address of the web views")
    web_port: int = Field(6066, ge=0, le=65535, description="port of the web views; 0 takes a free one")
    postgres: str = Field(
        "",
        description="address of Postgres for its sinks, postgresql://user@host:port/database; empty for none",
    )
    alert_webhook: str = Field(
        "", description="address that dead letters are posted to as JSON; empty for none"
    )
    alert_telegram_token: str = Field("", description="token of the Telegram bot that tells of dead letters")
    alert_telegram_chat: str = Field("", description="chat that the bot writes to; both empty for none")
    alert_telegram_address: str = Field(
        "https://api.telegram.org", description="where the bot's methods are; another one for a proxy"
    )
    alert_seconds: float = Field(
        60.0, ge=0, description="least seconds between two alerts; what comes meanwhile is in the next one"
    )
    nats: str = Field(
        "",
        description="address of NATS, nats://host:port or tls://host:port, several by commas: what PKS publishes goes there, "
        "fills and bookings come from there; empty for none",
    )
    nats_seed_file: Path | None = Field(None, description="file of the NKey seed of PKS's user of NATS")
    nats_authority_file: Path | None = Field(
        None, description="certificate of the authority that NATS's certificate is signed by (PEM)"
    )
    nats_certificate_file: Path | None = Field(None, description="PKS's own certificate for NATS (PEM)")
    nats_key_file: Path | None = Field(None, description="the key of PKS's certificate for NATS (PEM)")
    nats_replicas: int = Field(
        1, ge=1, le=5, description="servers of a NATS cluster that keep each stream; odd numbers"
    )
    questdb: str = Field(
        "",
        description="address of QuestDB for bookings, bars and reported positions, http://user:password@host:port; empty for none",
    )
    questdb_flush_seconds: float = Field(
        0.02,
        ge=0,
        le=10,
        description="least seconds between two writes of a sink into QuestDB; what comes meanwhile is in the next one",
    )
    redis: str = Field(
        "",
        description="address of Redis for marks and curves, redis://user:password@host:port/number or rediss://...; empty for none",
    )
    redis_seconds: int = Field(
        604_800, ge=1, description="how long a mark or a curve stands in Redis after it came into the log"
    )
    moex: str = Field(
        "", description="address of the Moscow Exchange's ISS for marks, https://iss.moex.com; empty for none"
    )
    moex_places: list[str] = Field(
        ["stock/shares", "stock/bonds"],
        description="markets (ENGINE/MARKET) or boards (ENGINE/MARKET/BOARD) of ISS whose marks are polled",
    )
    moex_boards: list[str] = Field(
        [], description="boards that make the mark of a security before the usual ones, the first one first"
    )
    moex_seconds: float = Field(60.0, gt=0, description="seconds between two looks at ISS")
    alor: str = Field(
        "", description="address of the broker ALOR for marks, https://api.alor.ru; empty for none"
    )
    alor_symbols: list[str] = Field([], description="what is polled there, each EXCHANGE:CODE, as MOEX:SBER")
    alor_seconds: float = Field(5.0, gt=0, description="seconds between two looks at ALOR")
    alor_authority: str = Field(
        "https://oauth.alor.ru", description="where a refresh token of ALOR is changed for an access token"
    )
    alor_token_file: Path | None = Field(
        None,
        description="file of a refresh token of ALOR; without one its quotes are a quarter of an hour old",
    )
    binance_symbols: list[Annotated[str, Field(pattern=r"^(spot|usdm|cm):[A-Za-z0-9_]+$")]] = Field(
        [],
        description="whose best bid and ask are taken from Binance as they change, each MARKET:CODE: spot:BTCUSDT, usdm:BTCUSDT "
        "(perpetuals and futures settled in dollars), cm:BTCUSD_PERP (in the coin); empty for none",
    )
    binance_seconds: float = Field(
        0.05,
        gt=0,
        description="seconds over which changes are conflated to the newest of each symbol of Binance",
    )
    binance_spot: str = Field(
        "wss://stream.binance.com:9443", description="address of the web sockets of Binance's spot market"
    )
    binance_usdm: str = Field("wss://fstream.binance.com", description="the same of its futures in dollars")
    binance_cm: str = Field("wss://dstream.binance.com", description="the same of its futures in coins")
    mark_stale_seconds: dict[str, float] = Field(
        {},
        description="by instrument class (* for every other), after how many seconds a mark is stale; "
        "docs/concepts/marks.md has what holds where none is named",
    )
    pricing_host: str = Field("127.0.0.1", description="address on which `pks pricing-engine` serves")
    pricing_port: int = Field(
        50051, ge=0, le=65535, description="port of the pricing engine (gRPC); 0 takes a free one"
    )
    pricing_processes: int = Field(
        0, ge=0, le=256, description="pricing processes of the engine; 0 is one for each processor"
    )
    pricing_waiting_max: int = Field(
        100_000, ge=1, description="most requests that wait in the engine before it refuses more"
    )
    pricing_request_seconds_max: float = Field(
        10.0,
        gt=0,
        description="longest that one request may take before its process is replaced and it is given up",
    )
    pricing_metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of the engine's metrics; nothing serves none"
    )
    pricing_certificate_file: Path | None = Field(
        None, description="certificate of the engine (PEM); with its key it speaks TLS"
    )
    pricing_key_file: Path | None = Field(None, description="the key of `pricing_certificate_file` (PEM)")
    pricing_client_authority_file: Path | None = Field(
        None,
        description="certificate of the authority that must have signed those of the engine's clients (PEM)",
    )
    pricing_engine: str = Field(
        "",
        pattern=r"^(grpcs?://\S+:[0-9]+)?$",
        description="address of the pricing engine for what valuation cannot price itself, grpc://host:port or grpcs://host:port; "
        "empty for none",
    )
    pricing_engine_seconds: float = Field(
        30.0, gt=0, le=3600, description="longest that the engine may take over one call"
    )
    pricing_engine_authority_file: Path | None = Field(
        None, description="certificate of the authority that the engine's certificate is signed by (PEM)"
    )
    pricing_engine_certificate_file: Path | None = Field(
        None, description="PKS's own certificate for the engine (PEM)"
    )
    pricing_engine_key_file: Path | None = Field(
        None, description="the key of PKS's certificate for the engine (PEM)"
    )
    sink_events_max: int = Field(
        5_000, ge=1, le=100_000, description="most events that a sink writes in one batch"
    )
    web_advertised_host: str = Field(
        "",
        description="host by which other workers reach the web views; empty: web_host, or the host's name if that is every address",
    )
    log_format: Literal["console", "json"] = Field("console", description="logs for people or for machines")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())


def settings_file() -> Path:
    """The file of the settings, which need not exist."""
    return Path(os.environ.get("PKS_SETTINGS", "pks.toml"))


def on_kafka(settings: Settings) -> bool:
    """Whether the settings name a cluster rather than the embedded log."""
    return settings.transport.startswith(KAFKA)
