"""The streams of the registry on a server: made where they are missing, brought up to date where they differ.

Guarantees: running it again changes nothing; a stream's messages are kept whatever its settings were.
"""

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from schemas.subjects import DUPLICATE_WINDOW_SECONDS, STREAMS, Stream

REPLICAS = 1


def config_of(stream: Stream, replicas: int = REPLICAS) -> StreamConfig:
    """What the server is asked to keep of a stream."""
    return StreamConfig(
        name=stream.name,
        description=stream.description,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        num_replicas=replicas,
        max_age=float(stream.retention_seconds or 0),
        max_msgs_per_subject=1 if stream.latest else -1,
        duplicate_window=float(DUPLICATE_WINDOW_SECONDS),
        # The server publishes its own advisories and waits for nobody.
        no_ack=stream.subjects[0].startswith("$JS."),
        allow_direct=True,
    )


async def ensure_streams(jetstream: JetStreamContext, replicas: int = REPLICAS) -> None:
    """Make or update every stream of the registry. Raises what nats-py raises."""
    for stream in STREAMS:
        wanted = config_of(stream, replicas)
        try:
            found = (await jetstream.stream_info(stream.name)).config
        except NotFoundError:
            await jetstream.add_stream(wanted)
            continue
        if _differs(found, wanted):
            await jetstream.update_stream(wanted)


def _differs(found: StreamConfig, wanted: StreamConfig) -> bool:
    compared = (
        "description",
        "subjects",
        "max_age",
        "max_msgs_per_subject",
        "duplicate_window",
        "num_replicas",
    )
    return any(getattr(found, name) != getattr(wanted, name) for name in compared)
