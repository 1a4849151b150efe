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
    # for 45 seconds; here it costs nothing, and a reply topic is of use only when it is read soon.
    _resubscribe_sleep_lock_seconds = 0.0


class Transport(base.Transport):  # type: ignore[misc]
    """The transport of the entry point `embedded`."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    Conductor: ClassVar[Any] = Conductor
    driver_version = "embedded"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.embedded = log_of(self.url[0])
