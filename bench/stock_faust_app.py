"""The same work on Faust as it comes: one JSON record a fill, two tables, one record out; a process of its own.

`python -m bench.stock_faust_app BROKER FOLDER COUNT`: reads `stock-fills`, drops trade ids that it knows, matches FIFO
lots in exact decimals, writes `stock-positions`; after COUNT fills it prints seconds by the clock and of processor
time since the first, as JSON, and ends.
"""

import json
import os
import sys
import time
from decimal import Decimal
from typing import Any

import faust

FILLS, POSITIONS, PARTITIONS = "stock-fills", "stock-positions", 4

_broker, _folder, _count = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = faust.App(
    "stock",
    broker=f"kafka://{_broker}",
    store="rocksdb://?driver=rocksdict",
    datadir=_folder,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    value_serializer="json",
    key_serializer="raw",
    web_enabled=False,
)
_fills = app.topic(FILLS, value_serializer="json")
_positions = app.topic(POSITIONS, value_serializer="json")
_known = app.Table("stock-known", partitions=PARTITIONS)
_held = app.Table("stock-held", partitions=PARTITIONS)


def _match(position: dict[str, Any], quantity: Decimal, price: Decimal) -> dict[str, Any]:
    """The next state of a position: FIFO lots as pairs of decimals in texts, and the realised P&L."""
    lots = [(Decimal(held), Decimal(at)) for held, at in position["lots"]]
    realised = Decimal(position["realised"])
    while quantity and lots and (lots[0][0] > 0) != (quantity > 0):
        held, at = lots[0]
        closed = min(abs(held), abs(quantity)).copy_sign(held)
        realised += closed * (price - at)
        quantity += closed
        if closed == held:
            lots.pop(0)
        else:
            lots[0] = (held - closed, at)
    if quantity:
        lots.append((quantity, price))
    return {"lots": [(str(held), str(at)) for held, at in lots], "realised": str(realised)}


@app.agent(_fills)  # type: ignore[untyped-decorator]
async def keep_positions(stream: Any) -> None:
    """Positions of the fills."""
    seen, began = 0, (0.0, 0.0)
    async for fill in stream:
        if not seen:
            began = (time.perf_counter(), time.process_time())
        seen += 1
        if fill["trade_id"] not in _known:
            _known[fill["trade_id"]] = 1
            place = f"{fill['book']}/{fill['instrument']}"
            quantity = Decimal(fill["quantity"]) * (1 if fill["side"] == "buy" else -1)
            before = _held.get(place) or {"lots": [], "realised": "0"}
            _held[place] = after = _match(before, quantity, Decimal(fill["price"]))
            await _positions.send(key=fill["book"].encode(), value={"place": place, **after})
        if seen == _count:
            spent = time.perf_counter() - began[0], time.process_time() - began[1]
            # Faust takes `sys.stdout` for its log.
            print(json.dumps({"wall": spent[0], "processor": spent[1]}), file=sys.__stdout__, flush=True)
            os._exit(0)


if __name__ == "__main__":
    sys.argv = ["stock", "worker", "-l", "error", "--without-web"]
    app.main()
