"""`embedded://`: the embedded log as a Faust transport.

A broker URL `embedded:///folder` names the log of a data folder (`connectors.embedded.shared` keeps the open
ones). Topics, groups, agents, tables, ask and reply, web views and table routing work as on Kafka; there is
one member a group, so there is no broker to wait for and a rebalance is a function call.
"""

from typing import Any, ClassVar

from faust.transport import base
from faust.transport.conductor import Conductor as FaustConductor

from connectors.embedded.consumer import Consumer
from connectors.embedded.producer import Producer
from connectors.embedded.shared import log_of


class Conductor(FaustConductor):  # type: ignore[misc]
    """Passes messages from the consumer to the streams; takes up a new topic at once."""

    # On a cluster each change of the subscription costs a rebalance of all members, so Faust collects changes
    # for 45 seconds; here it costs little, and a reply topic is of use only when it is read soon.
    _resubscribe_sleep_lock_seconds = 0.0

    def add(self, topic: Any) -> None:
        """Take up a channel: by a new subscription, or at once where its topics are subscribed already.

        Faust's own leaves the second case to a later subscription, which may never come: a reply stream. It
        takes the place of the topic that it was made from, whose queue nobody reads.
        """
        if topic in self:
            return
        super().add(topic)
        if topic.active_partitions is not None:
            return
        if topic.is_iterator:
            self._replace(
                [found for found in self._topics if not found.is_iterator and found.topics == topic.topics]
            )
        for name in topic.topics:
            if name in self._topic_name_index:
                self._topic_name_index[name].add(topic)
                if topic.acks:
                    self._acking_topics.add(name)
        for tp, channels in self._tp_index.items():
            if tp.topic in topic.topics:
                channels.add(topic)
                self.app.consumer.wake()

    def _replace(self, unread: list[Any]) -> None:
        self._topics.difference_update(unread)
        for channels in (*self._topic_name_index.values(), *self._tp_index.values()):
            channels.difference_update(unread)


class Transport(base.Transport):  # type: ignore[misc]
    """The transport of the entry point `embedded`."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    Conductor: ClassVar[Any] = Conductor
    driver_version = "embedded"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.embedded = log_of(self.url[0])
