"""The guarantee `low_latency`: no transaction; outputs first, then the step's changelog records, which decide.

Assumes: the stage computes the same outputs for an input whoever computes them: one input, in one order, and no
reference topics.
Guarantees: the table is exactly once, whoever else believes to own the partition (`connectors.kafka.succession`):
an owner whose records did not follow its last one looks who has written, and ends (`FencedError`) where somebody
announced himself. Outputs are at least once: one that comes again has the same id and the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import KafkaException, Producer

from connectors.embedded.errors import CommitError
from connectors.kafka.errors import ChangelogError, FencedError
from connectors.kafka.link import Link
from connectors.kafka.succession import announcement_key, new_token, step_keys
from connectors.kafka.writer import LINGER_MILLISECONDS, WAIT_SECONDS_MAX, OutgoingRecord, Sender


class LowLatency:
    """A `StepWriter`.

    `note_consumed` hears how far inputs are consumed, for who watches the lag of the group; `read_on` catches a
    table partition up through an offset and returns the token of the owner that the changelog names.
    """

    def __init__(
        self,
        link: Link,
        *,
        changelog: str,
        note_consumed: Callable[[Mapping[int, int]], None],
        read_on: Callable[[int, int], bytes | None],
    ) -> None:
        self._changelog = changelog
        self._note_consumed = note_consumed
        self._read_on = read_on
        self._token = b""
        self._ends: dict[int, int] = {}
        self._producer = Producer(
            link.producer(message_timeout_ms=int(WAIT_SECONDS_MAX * 1e3), linger_ms=LINGER_MILLISECONDS)
        )
        self._sender = Sender(self._producer)

    def start(self) -> None:
        """Who wrote before is replaced partition by partition."""

    def take_over(self, partitions: Iterable[int]) -> dict[int, int]:
        """Announce this owner: what others write without announcing themselves does not count from here on."""
        self._token = new_token()
        self._ends = {}
        key = announcement_key(self._token)
        offsets = self._send_deciding((self._changelog, partition, key, b"") for partition in partitions)
        return {partition: last for partition, (_, last) in offsets.items()}

    def caught_up(self, partition: int, offset: int) -> None:
        """The next record of the partition follows this offset, where nobody else writes."""
        self._ends[partition] = offset

    def write(self, records: Iterable[OutgoingRecord], consumed: Mapping[int, int]) -> dict[int, int]:
        """Write a step: first what it emits, then what it changes."""
        outputs: list[OutgoingRecord] = []
        values: dict[int, list[bytes | None]] = {}
        for record in records:
            if record[0] == self._changelog:
                values.setdefault(record[1], []).append(record[3])
            else:
                outputs.append(record)
        self._send_outputs(outputs)
        offsets = self._send_deciding(
            (self._changelog, partition, key, value)
            for partition, parts in values.items()
            for key, value in zip(
                step_keys(self._token, self._ends[partition] + 1, len(parts)), parts, strict=True
            )
        )
        written = {}
        for partition, (first, last) in offsets.items():
            if self._follow(partition, first, last, len(values[partition])):
                written[partition] = last
        self._note_consumed(consumed)
        return written

    def _send_outputs(self, outputs: list[OutgoingRecord]) -> None:
        try:
            self._sender.send(outputs)
        except KafkaException as error:
            cause = error.args[0]
            if cause.fatal():
                raise FencedError(
                    f"expected to send outputs, found: {cause.str()}; restart the worker"
                ) from error
            raise CommitError(f"expected to send the outputs of a step, found: {cause.str()}") from error

    def _send_deciding(self, records: Iterable[OutgoingRecord]) -> dict[int, tuple[int, int]]:
        try:
            return self._sender.send(records, self._changelog)
        except KafkaException as error:
            # Whether it was written is not known here: nothing may be computed on top of it.
            raise ChangelogError(
                f"expected {self._changelog} to be written, found: {error.args[0].str()}; restart the worker, which "
                "reads what was"
            ) from error

    def _follow(self, partition: int, first: int, last: int, count: int) -> bool:
        """Whether the records followed the last ones; else what they changed was read, where it counts."""
        expected, self._ends[partition] = self._ends[partition] + 1, last
        if first == expected and last == expected + count - 1:
            return True
        if self._read_on(partition, last) != self._token:
            raise FencedError(
                f"expected record {expected} of {self._changelog}/{partition} to be this worker's, found that another "
                "worker has taken over; this one ends, and takes part again when it is started"
            )
        return False

    def close(self) -> None:
        """Every step has waited for its records."""
