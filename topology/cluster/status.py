"""What a supervisor and its workers say to each other: an order on the worker's standard input, then one status line
after another on its standard output.

The order's pipe stays open as long as the supervisor lives: a worker whose pipe ends, ends.
"""

from typing import Any

import msgspec
from pydantic import SecretStr

from topology.settings import Settings

STATUS_SECONDS = 0.5
"""Between two status lines."""

EXIT_STATE = 3
"""The local state is damaged, newer, or owned by another process: a restart does not help."""

EXIT_NAME_TAKEN = 4
"""Another worker of this name took part: a restart would only take its place in turn."""


class Order(msgspec.Struct, frozen=True):
    """What a worker is to run as. `restarts` counts those of this worker so far, by reason; the `first` of a machine
    shows how its sinks go."""

    settings: dict[str, Any]
    name: str
    cluster: str
    web_port: int
    restarts: dict[str, int]
    first: bool = False

    def read_settings(self) -> Settings:
        """The settings, as the supervisor has them."""
        return Settings(**self.settings)


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a worker is.

    `progress` rises with every record that is applied or restored; `lag` is what waits, in records; `restoring` is
    what the tables lack yet by `stage/partition`, (next offset, end).
    """

    process: int
    web: str
    ready: bool = False
    progress: int = 0
    lag: int = 0
    partitions: dict[str, list[int]] = {}
    restoring: dict[str, tuple[int, int]] = {}
    trouble: str = ""
    failed: str = ""


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Settings as an order bears them, secrets included: it goes through a pipe that nobody else reads."""
    plain = settings.model_dump(mode="json")
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            plain[name] = value.get_secret_value()
    return plain


encode_line = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_status = msgspec.json.Decoder(Status).decode
