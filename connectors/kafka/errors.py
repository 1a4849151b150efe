"""What can go wrong with a cluster: where, what was expected, what was found, what to do."""


class KafkaLogError(Exception):
    """Any fault of the log on Kafka."""


class LinkError(KafkaLogError):
    """The address of the brokers cannot be read, or nobody answers there."""


class TopicError(KafkaLogError):
    """A topic is not as the registry has it."""


class FencedError(KafkaLogError):
    """Another worker has taken over: this one may not write any more."""


class NameTakenError(KafkaLogError):
    """Another worker took part under the name of this one."""


class ChangelogError(KafkaLogError):
    """Changelog, committed offset and local state do not fit together."""
