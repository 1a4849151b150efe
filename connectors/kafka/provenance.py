"""Which topic a table was made of: the cluster's identity of it, noted beside what was read from it.

An offset says nothing where a topic was deleted and made anew under its name: what was consumed of the former one would
be passed over in this one.

Owns: the note of each topic in a table partition, and the error where it does not fit.
"""

from collections.abc import Callable, Mapping

from connectors.kafka.errors import ChangelogError

MADE_KEY = b"\x00made/"
"""Prefix of the keys under which a table partition notes the identity of a topic."""

Get = Callable[[bytes], bytes | None]
"""The value of a key of the table partition."""


def made_key(topic: str) -> bytes:
    """The key of a topic's note."""
    return MADE_KEY + topic.encode()


def missing_notes(get: Get, identities: Mapping[str, str], where: str, remedy: str) -> dict[bytes, bytes]:
    """The notes that a table partition lacks; raises ChangelogError where one names another topic of that name.

    `where` says which table, `remedy` what to do.
    """
    missing = {}
    for topic, identity in identities.items():
        noted = get(made_key(topic))
        if noted is None:
            missing[made_key(topic)] = identity.encode()
        elif noted != identity.encode():
            raise ChangelogError(
                f"{where}: expected {topic} to be the topic {noted.decode()}, of which the table was made, found {identity}: "
                f"it was deleted and made anew; {remedy} (docs/operating/topics-made-anew.md)"
            )
    return missing
