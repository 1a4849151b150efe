"""The layout: aligned, driven by the field catalogue, and the same in the strategies' package."""

import struct

import pytest

from clients.python.pks_client import layout as client
from connectors.shm import layout
from schemas.fields import Kind, fields_of
from schemas.murmur2 import partition_of_key

SLOT_OF_VERSION_1 = {
    "sequence": 0,
    "key_hash": 8,
    "quantity": 16,
    "average_price": 24,
    "cost_basis": 32,
    "realised_pnl": 40,
    "net_realised_pnl": 48,
    "fees": 56,
    "owner_epoch": 64,
    "lots_open": 72,
    "revision": 80,
    "executed_at": 88,
    "updated_at": 96,
    "book": 104,
    "instrument": 108,
    "currency": 112,
    "partition": 116,
    "quantity_exact": 128,
    "average_price_exact": 152,
    "cost_basis_exact": 176,
    "realised_pnl_exact": 200,
    "net_realised_pnl_exact": 224,
    "fees_exact": 248,
}


def test_the_places_of_version_1_never_move():
    assert layout.LAYOUT_VERSION == 1
    assert {name: member.offset for name, member in layout.SLOT.items()} == SLOT_OF_VERSION_1
    assert layout.SLOT_SIZE == 320


def test_slots_are_whole_cache_lines_and_words_are_aligned():
    assert layout.SLOT_SIZE % layout.CACHE_LINE == layout.SEGMENT_HEADER_SIZE % layout.CACHE_LINE == 0
    members = [*layout.SLOT.values(), *layout.SEGMENT.values(), *layout.DIRECTORY.values()]
    assert all(member.offset % 8 == 0 for member in members if member.code in "Qqd")
    assert layout.SLOT_BODY.size == layout.SLOT_SIZE - 8
    assert layout.SEGMENT["growths"].offset + 8 <= layout.SEGMENT_HEADER_SIZE
    assert layout.DIRECTORY["last_epoch"].offset + 8 <= layout.DIRECTORY_HEADER_SIZE
    assert sum(member.size for member in layout.WORKER.values()) <= layout.WORKER_SIZE


def test_a_fast_reader_needs_the_first_cache_line_only():
    assert all(layout.SLOT[name].offset < layout.CACHE_LINE for name in layout.DECIMALS)


def test_every_field_of_the_catalogue_has_a_place():
    for field in fields_of(*Kind):
        assert field.name in layout.SLOT
        assert (f"{field.name}_exact" in layout.SLOT) == (field.kind is Kind.DECIMAL)


def test_the_clients_package_has_the_same_numbers():
    assert (client.LAYOUT_VERSION, client.SLOT_SIZE) == (layout.LAYOUT_VERSION, layout.SLOT_SIZE)
    assert client.DIRECTORY_MAGIC == layout.DIRECTORY_MAGIC
    assert client.SEGMENT_MAGIC == layout.SEGMENT_MAGIC
    assert client.SEGMENT_HEADER_SIZE == layout.SEGMENT_HEADER_SIZE
    assert client.DIRECTORY_SIZE == layout.DIRECTORY_SIZE
    assert (client.BUILDING, client.ACTIVE, client.CLOSED, client.SUPERSEDED) == (
        layout.BUILDING,
        layout.ACTIVE,
        layout.CLOSED,
        layout.SUPERSEDED,
    )
    assert (client.ALARM_FULL, client.EXACT_INEXACT, client.EXACT_NULL) == (
        layout.ALARM_FULL,
        layout.EXACT_INEXACT,
        layout.EXACT_NULL,
    )
    assert (client.WORKERS_OFFSET, client.WORKER_SIZE, client.WORKERS_MAX, client.WORKER_BITS) == (
        layout.DIRECTORY_HEADER_SIZE,
        layout.WORKER_SIZE,
        layout.WORKERS_MAX,
        layout.WORKER_BITS,
    )
    assert client.PARTITIONS_WORD * 8 == layout.PARTITIONS_OFFSET
    assert client.DECIMALS == layout.DECIMALS
    assert {name: word * 8 for name, word in client.SEGMENT_WORDS.items()} == {
        name: member.offset for name, member in layout.SEGMENT.items() if name != "worker"
    }
    for word, member in (
        (client.DIRECTORY_MAGIC_WORD, "magic"),
        (client.DIRECTORY_LAYOUT_WORD, "layout_version"),
        (client.DIRECTORY_CATALOGUE_WORD, "catalogue_version"),
        (client.DIRECTORY_PARTITION_COUNT_WORD, "partition_count"),
        (client.DIRECTORY_VERSION_WORD, "version"),
        (client.DIRECTORY_LAST_EPOCH_WORD, "last_epoch"),
    ):
        assert word * 8 == layout.DIRECTORY[member].offset


def test_what_the_writer_packs_the_client_unpacks():
    numbers = list(range(1, 1 + len(layout.SLOT_BODY.unpack(bytes(layout.SLOT_BODY.size)))))
    body = layout.SLOT_BODY.pack(*numbers)
    assert list(client.SLOT.unpack_from(body)) == numbers
    floats = client.SLOT_FLOATS.unpack_from(body, client.SLOT_FLOATS_OFFSET - 8)
    assert list(floats) == numbers[1:7]


def test_the_client_unpacks_members_where_the_table_has_them():
    names = [
        "key_hash",
        *layout.DECIMALS,
        "owner_epoch",
        *layout.COUNTS,
        *layout.TIMES,
        *layout.TEXTS,
        "partition",
    ]
    for place, name in enumerate(names):
        body = bytearray(layout.SLOT_SIZE)
        struct.pack_into("=" + layout.SLOT[name].code, body, layout.SLOT[name].offset, 7)
        assert client.SLOT.unpack_from(body, 8)[place] == 7, name


HASHES = [
    # The first is the published FNV-1a vector of one zero byte; the C header is held to the same numbers.
    ("", "", 0xAF63BD4C8601B7DF),
    ("B1", "X", 0x22E31DA6BE3FF864),
    ("MM-BOOK", "BTCUSDT", 0x984E03B80B7099A0),
    ("Büro", "Ω", 0x82CB2E355A4192FE),
]


@pytest.mark.parametrize(("book", "instrument", "expected"), HASHES)
def test_key_hash(book, instrument, expected):
    assert layout.key_hash(book, instrument) == client.key_hash(book, instrument) == expected


def test_book_and_instrument_do_not_run_together():
    assert layout.key_hash("AB", "C") != layout.key_hash("A", "BC")


@pytest.mark.parametrize("book", ["B", "B1", "B12", "B123", "MM-BOOK", "Büro", "書籍"])
@pytest.mark.parametrize("partitions", [1, 4, 1024])
def test_the_client_finds_a_books_partition_as_the_log_does(book, partitions):
    assert client.partition_of(book, partitions) == partition_of_key(book.encode(), partitions)


@pytest.mark.parametrize("slots", [1, 16, 17, 1000, 16_384])
def test_segments_have_an_index_at_most_half_full(slots):
    index_count, index_offset, strings_offset, strings_size, size = layout.segment_sizes(slots)
    assert index_count >= 2 * slots and index_count & (index_count - 1) == 0
    assert index_offset == layout.SEGMENT_HEADER_SIZE + slots * layout.SLOT_SIZE
    assert strings_offset == index_offset + 8 * index_count and size == strings_offset + strings_size
