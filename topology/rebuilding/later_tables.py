"""What stages behind the books know, moved to other partitions: a pure rule over their tables, family by family of keys.

An entry goes where the input goes that it came from. What a partition has of its own is added up (tallies), or is the same in
all (clocks, closes, definitions), and every new partition gets it.

Assumes: stages that have applied all of their input, and inputs that were copied by `LaterTopics`.
Guarantees: of what stands in one partition, nothing is lost, changed or met by another's; counts add up as before, and
those of a partition are of the events in it. What cannot be so is refused (`MemoryFault`), and nothing is half moved: the
caller writes elsewhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from agents import (
    bar_state,
    bars,
    cash,
    currency_position,
    ledger,
    ledger_income,
    ledger_movements,
    ledger_payments,
    ledger_state,
    mark_routing,
    pnl,
    pnl_state,
    position_routing,
    valuation,
    valuation_closing,
    valuation_state,
)
from agents.counters import FAMILY, Counts, encode_counts, read_counts
from agents.ledger_accounts import ACCOUNT, PENDING, RESIDUE
from agents.stage import Stage
from agents.valuation_engine import Asked
from domain.book_hash import BookHash
from domain.ledger.posting import Posted
from schemas import topics
from schemas.identity import split_position_key
from schemas.topics import Topic
from topology.log import Tables
from topology.log_reading import ReadLog, table_partition
from topology.rebuilding.capture_memory import MemoryFault
from topology.rebuilding.later_routes import Broadcasts, Routes
from topology.rebuilding.later_topics import CUT, LaterTopics
from topology.runtime import REFUSED_DEFINITIONS

_CHANGES_MAX = 10_000
_OUTCOMES = ("applied", "duplicates", "refused", "waiting")
_KEYS_FROM = b"\x01"
"""What a partition notes about itself begins with a zero byte."""

Write = Callable[[str, int, Mapping[bytes, bytes | None]], None]
"""Takes changes of a new table partition."""

Rule = Callable[[int, bytes, bytes], Iterable[int]]
"""The new partitions of an entry of an old one, by its key and value."""

_ONCE: Mapping[str, bytes] = {
    position_routing.NAME: position_routing.ENTITY,
    bars.NAME: bar_state.BAR + bar_state.NEWEST + bar_state.MARK,
    valuation.NAME: valuation_state.POSITION,
    pnl.NAME: pnl_state.OPEN + pnl_state.CLOSED + pnl_state.INTEREST,
    ledger.NAME: b"".join(
        (
            ACCOUNT,
            RESIDUE,
            PENDING,
            ledger_state.POSITION,
            ledger_state.TRADE,
            ledger_state.LOCK,
            ledger_movements.MOVEMENT,
            ledger_movements.ACCRUED,
            ledger_movements.PAYMENT,
            ledger_payments.ORDERS,
            ledger_income.WAITING,
        )
    ),
    cash.NAME: cash.BALANCE + cash.PENDING + cash.VALUE,
    currency_position.NAME: currency_position.BALANCE,
}
"""By table, the families of what stands in one partition, and is as it was after a move."""


def figures_hash(tables: Tables, stage: Stage, partitions: int) -> tuple[int, str]:
    """How many entries of a stage stand in one partition each, and the sum of their hashes."""
    total, count = BookHash(), 0
    families = _ONCE.get(stage.name, b"")
    for partition in range(partitions):
        for key, value in tables.scan(stage.table.name, partition, _KEYS_FROM):
            if key[0] in families:
                size = len(key).to_bytes(4, "big")
                total.add(int.from_bytes(sha256(size + key + value).digest(), "big"))
                count += 1
    return count, total.hexadecimal


def shared(totals: Mapping[str, Counts], sizes: Sequence[int]) -> list[dict[str, Counts]]:
    """Counts of all partitions shared out, to each as many as it has inputs: what became of which is known of all together."""
    found: list[dict[str, Counts]] = [{} for _ in sizes]
    left = list(sizes)
    for source in sorted(totals):
        for outcome in _OUTCOMES:
            number = getattr(totals[source], outcome)
            for place, room in enumerate(left):
                taken = min(number, room)
                if taken:
                    counts = found[place].setdefault(source, Counts())
                    counts.read += taken
                    setattr(counts, outcome, getattr(counts, outcome) + taken)
                    left[place] -= taken
                    number -= taken
    return found


class LaterMove:
    """What stages behind the books read and know, on its way from old partitions into new ones.

    `old` has their tables and definitions, `write` takes those of the new partitions, and `topics` says where events go meanwhile.
    """

    def __init__(self, stages: Sequence[Stage], old: ReadLog, broadcasts: Broadcasts, write: Write) -> None:
        self.stages = stages
        self.numbers = broadcasts.numbers
        self.broadcasts = broadcasts
        self._old = old
        self._everywhere = range(self.numbers.after)
        self._routes = routes = Routes(old, broadcasts)
        self._write = write
        self._changes: dict[tuple[str, int], dict[bytes, bytes | None]] = defaultdict(dict)
        self._changed = 0
        self._quoted: dict[bytes, bytes] = {}
        self._too_late: dict[str, int] = defaultdict(int)
        self._tallies = valuation_state.Tallies()
        self._clock = 0
        self._rules = self._all_rules()
        self.topics = LaterTopics(stages, old, routes, self.put)

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a new table partition."""
        self._changes[table, partition][key] = value
        self._changed += 1
        if self._changed >= _CHANGES_MAX:
            self._flush()

    def _flush(self) -> None:
        for place, changes in self._changes.items():
            self._write(*place, changes)
        self._changes.clear()
        self._changed = 0

    def move(self, whole: Callable[[Topic], bool]) -> None:
        """Move the tables, when all topics are copied, of which some are `whole` afterwards. Raises MemoryFault."""
        for stage in self.stages:
            rules = self._rules.get(stage.name)
            if rules is None:
                raise MemoryFault(f"expected a stage whose table can be moved, found {stage.name}")
            for partition in range(self.numbers.before):
                for key, value in self._old.scan(stage.table.name, partition, _KEYS_FROM):
                    rule = rules.get(key[:1])
                    if rule is None:
                        raise MemoryFault(
                            f"expected keys of {stage.name} that can be moved, found one of {key[:1]!r}"
                        )
                    for place in rule(partition, key, value):
                        self.put(stage.table.name, place, key, value)
            self._move_counts(stage, whole=whole(stage.input))
        self._put_sums()
        self._put_closed_days(self.topics.closed)
        self._flush()

    def hold_against(self, new: Tables) -> None:
        """Raise MemoryFault where the new tables do not have what the old ones have."""
        for stage in self.stages:
            before = figures_hash(self._old, stage, self.numbers.before)
            after = figures_hash(new, stage, self.numbers.after)
            if before != after:
                raise MemoryFault(
                    f"expected the {before[0]} entries that {stage.name} has, found {after[0]} and not the same ones: an "
                    "id is used under several keys, which would meet in one partition"
                )

    # -- rules --------------------------------------------------------------------------------------------------

    def _all_rules(self) -> Mapping[str, Mapping[bytes, Rule]]:
        new = self.numbers.new
        counted = {FAMILY: self._nowhere}

        def by(key_of: Callable[[bytes], str]) -> Rule:
            return lambda _, key, value: (new(key_of(key)),)

        by_name, by_first = by(lambda key: key[1:].decode()), by(lambda key: _names(key)[0])
        instruments = topics.INSTRUMENTS
        return {
            position_routing.NAME: counted
            | {
                position_routing.ENTITY: by_name,
                # With the positions.
                position_routing.UNDERLYING: self._nowhere,
                position_routing.DEFINED: self._broadcast(position_routing.NAME, instruments),
            },
            mark_routing.NAME: counted
            | {
                mark_routing.DEFINED: self._broadcast(mark_routing.NAME, instruments),
                mark_routing.RATE: self._newest_quote,
            },
            bars.NAME: counted
            | {
                # Interval before, time behind the instrument.
                bar_state.BAR: by(lambda key: key[2:-9].decode()),
                bar_state.NEWEST: by_name,
                bar_state.MARK: by_name,
                bar_state.TOO_LATE: self._add_too_late,
            },
            valuation.NAME: counted | self._valuation_rules(),
            pnl.NAME: counted
            | {
                pnl_state.OPEN: self._of_position,
                pnl_state.CLOSED: self._of_position,
                pnl_state.INTEREST: self._of_position,
                pnl_state.CLOSES: self._same_everywhere,
                pnl_state.CALENDAR: self._broadcast(pnl.NAME, topics.BOOKS),
            },
            ledger.NAME: counted | self._ledger_rules(by_name, by_first),
            cash.NAME: counted
            | dict.fromkeys(
                (cash.BALANCE, cash.PENDING, cash.VALUE),
                # As `topics.cash_key` writes it.
                by(lambda key: "/".join(_names(key)[:3])),
            ),
            currency_position.NAME: counted
            | {
                currency_position.BALANCE: by_first,
                currency_position.RATE: self._broadcast(currency_position.NAME, topics.FX_RATES),
                currency_position.POLICY: self._broadcast(currency_position.NAME, topics.CURRENCY_POLICIES),
                currency_position.MOVED: lambda partition, key, value: self._everywhere,
            },
        }

    def _nowhere(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        return ()

    def _broadcast(self, stage: str, topic: Topic) -> Rule:
        """What every partition reads for itself: all get that of the one that had read the most."""
        source = self.broadcasts.source(stage, topic)
        return lambda partition, key, value: self._everywhere if partition == source else ()

    def _newest_quote(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """When a pair was quoted last, by whichever instrument: an older quote changes no rate."""
        known = self._quoted.get(key)
        if known is None or _time(known) < _time(value):
            self._quoted[key] = value
        return ()

    def _add_too_late(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        for interval, number in msgspec.json.decode(value, type=dict[str, int]).items():
            self._too_late[interval] += number
        return ()

    # -- positions and marks ------------------------------------------------------------------------------------

    def _valuation_rules(self) -> dict[bytes, Rule]:
        return {
            valuation_state.POSITION: self._position,
            valuation_state.MARK: self._mark,
            valuation_closing.ENDED: self._mark,
            valuation_state.REFERENCE: self._reference(),
            valuation_state.VOLATILITY: self._of_instrument,
            valuation_state.ENGINE: self._asked,
            valuation_state.TALLIES: self._add_tallies,
            valuation_state.CLOCK: self._newest_tick,
            valuation_state.RATES_WAITING: lambda partition, key, value: self._everywhere,
        }

    def _of_position(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        return (self._routes.of_instrument(_names(key)[1]),)

    def _position(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """A position; and whoever routes its updates goes on sending them there."""
        book, instrument = split_position_key(key[1:])
        valued_with = self._routes.valued_with(instrument)
        self.put(
            position_routing.NAME,
            self.numbers.new(book),
            position_routing.UNDERLYING + instrument.encode(),
            valued_with.encode(),
        )
        return (self.numbers.new(valued_with),)

    def _mark(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """A mark of an instrument, of its own partition, which has all: others have what came since they needed it."""
        instrument = key[1:].partition(b"\x00")[0].decode()
        return self._routes.of_mark(instrument) if self.numbers.old(instrument) == partition else ()

    def _reference(self) -> Rule:
        rules = {
            topic.event_classes[0].__name__: self._broadcast(valuation.NAME, topic)
            for topic in valuation.BROADCASTS
        }
        return lambda partition, key, value: rules[_names(key)[0]](partition, key, value)

    def _home(self, key: bytes) -> int:
        """The old partition that valued an instrument, of those that know of it."""
        home = self.numbers.old(self._routes.valued_with(key[1:].decode()))
        places: tuple[int, ...] = (home, *range(self.numbers.before))
        return next(place for place in places if self._old.get(valuation.NAME, place, key) is not None)

    def _of_instrument(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        return (self._routes.of_instrument(key[1:].decode()),) if self._home(key) == partition else ()

    def _asked(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """The talk with the engine. Where its answer would come to another partition, it is asked again."""
        for place in self._of_instrument(partition, key, value):
            asked = msgspec.msgpack.decode(value, type=Asked)
            if self.numbers.old(self._routes.valued_with(asked.instrument)) != partition:
                value = msgspec.msgpack.encode(msgspec.structs.replace(asked, waiting="", moved=False))
            self.put(valuation.NAME, place, key, value)
        return ()

    def _add_tallies(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        found = msgspec.msgpack.decode(value, type=valuation_state.Tallies)
        self._tallies.conflated += found.conflated
        self._tallies.passed_over += found.passed_over
        return ()

    def _newest_tick(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        self._clock = max(self._clock, int(value))
        return ()

    def _same_everywhere(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        first = self._old.get(pnl.NAME, 0, key)
        if first != value:
            raise MemoryFault(
                f"expected every partition of {pnl.NAME} to have the same closes of {key[1:].decode()}, found {first!r} "
                f"and {value!r}"
            )
        return self._everywhere if partition == 0 else ()

    # -- money --------------------------------------------------------------------------------------------------

    def _ledger_rules(self, by_name: Rule, by_first: Rule) -> dict[bytes, Rule]:
        own = self._own
        return {
            ACCOUNT: own(by_first, lambda key: _names(key)[0]),
            RESIDUE: own(by_first, lambda key: _names(key)[0]),
            PENDING: lambda _, key, value: (self.numbers.new(_names(key)[2]),),
            ledger_state.POSITION: self._posted,
            ledger_state.TRADE: lambda _, key, value: self._of_book(_names(key)[0]),
            ledger_payments.ORDERS: lambda _, key, value: self._of_book(_names(key)[0]),
            ledger_income.WAITING: self._income,
            ledger_state.BOOK: self._book,
            ledger_state.LOCK: by_name,
            ledger_state.RULES: self._broadcast(ledger.NAME, topics.POSTING_RULES),
            # With the topic: its id alone does not say where it is.
            ledger_movements.MOVEMENT: self._nowhere,
            ledger_movements.ACCRUED: by_first,
            ledger_movements.PAYMENT: self._payment,
        }

    def _own(self, rule: Rule, entity_of: Callable[[bytes], str]) -> Rule:
        """What stands in the partition of its entity; anything else would be lost from sight there."""

        def held(partition: int, key: bytes, value: bytes) -> Iterable[int]:
            entity = entity_of(key)
            if self.numbers.old(entity) != partition:
                raise MemoryFault(
                    f"expected accounts of entity {entity!r} in partition {self.numbers.old(entity)} of the ledger, found "
                    f"some in {partition}: a book is posted there under an entity that is not its own"
                )
            return rule(partition, key, value)

        return held

    def _of_book(self, book: str) -> Iterable[int]:
        entity = self._routes.entity_of(book)
        if entity is None:
            raise MemoryFault(
                f"expected that trades of book {book} were routed, found that the ledger has some alone"
            )
        return (self.numbers.new(entity),)

    def _income(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """Income of a position that is not known yet: where its book is, or will be, by what moved the cash."""
        book = _names(key)[0]
        entity = self._routes.entity_of(book)
        if entity is None:
            entity = self.topics.entities.get(book)
        if entity is None or self.numbers.old(entity) != partition:
            raise MemoryFault(
                f"expected income of book {book} with its entity, found it in partition {partition}"
            )
        return (self.numbers.new(entity),)

    def _posted(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        book = _names(key)[0]
        posted = msgspec.json.decode(value, type=Posted)
        entity = self._routes.entity_of(book)
        if posted.revision and posted.entity != entity:
            raise MemoryFault(
                f"expected book {book} to be posted under its entity {entity!r}, found {posted.entity!r}: its first trade "
                "was refused, or sent to the ledger by hand"
            )
        return self._of_book(book)

    def _book(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        """The last closed day of a book, where it is posted; of what has no book, where its entity is."""
        book = key[1:].decode()
        if book.startswith(ledger_state.NO_BOOK):
            return (self.numbers.new(book[len(ledger_state.NO_BOOK) :]),)
        entity = self._routes.entity_of(book)
        here = entity is not None and self.numbers.old(entity) == partition
        return self._of_book(book) if here else ()

    def _put_closed_days(self, closed: Mapping[str, str]) -> None:
        """What the other partitions know of a book: the days that had ended before its first trade came, of all of them."""
        if not any(stage.name == ledger.NAME for stage in self.stages):
            return
        for book, day in closed.items():
            entity = self._routes.entity_of(book)
            for place in self._everywhere:
                if entity is None or place != self.numbers.new(entity):
                    key = ledger_state.BOOK + book.encode()
                    self.put(ledger.NAME, place, key, msgspec.json.encode((day, [])))

    def _payment(self, partition: int, key: bytes, value: bytes) -> Iterable[int]:
        payment = msgspec.json.decode(value, type=ledger_movements.Payment)
        return (self.numbers.new(payment.order.entity),)

    # -- what a partition has of its own ------------------------------------------------------------------------

    def _put_sums(self) -> None:
        """What is added up stands in the first partition; what is the same everywhere, everywhere."""
        names = {stage.name for stage in self.stages}
        if self._too_late:
            self.put(bars.NAME, 0, bar_state.TOO_LATE, msgspec.json.encode(dict(self._too_late)))
        if valuation.NAME in names:
            self.put(valuation.NAME, 0, valuation_state.TALLIES, msgspec.msgpack.encode(self._tallies))
        for place in self._everywhere:
            for key, value in self._quoted.items():
                self.put(mark_routing.NAME, place, key, value)
            if self._clock:
                self.put(valuation.NAME, place, valuation_state.CLOCK, str(self._clock).encode())

    def _move_counts(self, stage: Stage, *, whole: bool) -> None:
        """Each partition counts the events that it has; the first one those that are no more as well."""
        name = stage.input.name
        totals: dict[str, Counts] = defaultdict(Counts)
        for partition in range(self.numbers.before):
            for source, counts in read_counts(
                table_partition(self._old, stage.table.name, partition)
            ).items():
                totals[source].add(counts)
        definitions = totals.pop(REFUSED_DEFINITIONS, None)
        if definitions is not None:
            key = FAMILY + REFUSED_DEFINITIONS.encode()
            self.put(stage.table.name, 0, key, encode_counts(definitions))
        sizes = [0 if name in CUT else self.topics.sizes[name, place] for place in self._everywhere]
        gone = sum(counts.read for counts in totals.values()) - sum(sizes)
        if gone < 0 or (gone and whole):
            raise MemoryFault(
                f"expected that {stage.name} has counted the {sum(sizes)} events of {name}, found {sum(sizes) + gone}: look at "
                "`pks verify`"
            )
        sizes[0] += gone
        for place, found in enumerate(shared(totals, sizes)):
            for source, counts in found.items():
                self.put(stage.table.name, place, FAMILY + source.encode(), encode_counts(counts))


def _names(key: bytes) -> list[str]:
    """The names of a key, its family left out."""
    return key[1:].decode().split("\x00")


def _time(quoted: bytes) -> tuple[int, int]:
    return msgspec.msgpack.decode(quoted, type=tuple[int, int])
