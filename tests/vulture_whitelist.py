"""Names that are in use where vulture cannot see it: message fields that readers of the log look up, and
enumeration members that a message may carry. One line each; a name that is dead elsewhere is removed, not listed.
"""

from schemas import events, topics, units

events.Event.schema_version
events.PositionUpdated.lots_open
topics.Topic.clocked
units.TradeId
units.BookId
units.InstrumentId
units.Quantity
units.Price
units.Money
