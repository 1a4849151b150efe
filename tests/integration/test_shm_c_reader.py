"""The C header against what Python writes: offsets, hashes, every member, and each way of not being live."""

import math
from decimal import Decimal

import pytest

from connectors.shm import layout
from connectors.shm.writer import PositionWriter
from schemas.murmur2 import murmur2
from schemas.numbers import plain
from tests.integration.c_programs import HEADER_FOLDER, STRICT, compile_c, output
from tests.support import eventually

PARTITIONS = 4


@pytest.fixture(scope="module")
def show(tmp_path_factory):
    program = compile_c("show_position.c", tmp_path_factory.mktemp("c") / "show_position")

    def run(*arguments):
        lines = output(program, *arguments).splitlines()
        return dict(line.split(" ", 1) for line in lines)

    return run


@pytest.fixture
def writer(shared_memory_name):
    opened = PositionWriter(shared_memory_name, slots=16, partitions=PARTITIONS)
    yield opened
    opened.close(keep=False)


def test_every_offset_of_the_header_is_the_tables(tmp_path):
    structures = (
        ("pks_slot", layout.SLOT, layout.SLOT_SIZE),
        ("pks_segment", layout.SEGMENT, layout.SEGMENT_HEADER_SIZE),
        ("pks_worker", layout.WORKER, layout.WORKER_SIZE),
        ("pks_directory", layout.DIRECTORY, None),
    )
    lines = []
    for structure, members, size in structures:
        for name in members:
            lines.append(
                f'printf("%zu %zu\\n", offsetof({structure}, {name}), sizeof((({structure} *)0)->{name}));'
            )
        if size is not None:
            lines.append(f'printf("%zu 0\\n", sizeof({structure}));')
    lines.append('printf("%zu %zu\\n", offsetof(pks_directory, partitions), sizeof(pks_directory));')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_DIRECTORY_MAGIC);')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_SEGMENT_MAGIC);')
    lines.append(
        'printf("%u %u\\n%u %u\\n", PKS_STATE_BUILDING, PKS_STATE_ACTIVE, PKS_STATE_CLOSED, PKS_STATE_SUPERSEDED);'
    )
    lines.append('printf("%u %u\\n", PKS_EXACT_INEXACT, PKS_EXACT_NULL);')
    lines.append('printf("%u %u\\n", PKS_LAYOUT_VERSION, PKS_ALARM_FULL);')
    source = tmp_path / "offsets.c"
    source.write_text(
        '#include "pks_positions.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0;\n}\n"
    )
    found = [
        tuple(map(int, line.split())) for line in output(compile_c(source, tmp_path / "offsets")).splitlines()
    ]
    expected = []
    for _, members, size in structures:
        expected += [(member.offset, member.size) for member in members.values()]
        if size is not None:
            expected.append((size, 0))
    expected += [
        (layout.PARTITIONS_OFFSET, layout.DIRECTORY_SIZE),
        (layout.DIRECTORY_MAGIC, 0),
        (layout.SEGMENT_MAGIC, 0),
        (layout.BUILDING, layout.ACTIVE),
        (layout.CLOSED, layout.SUPERSEDED),
        (layout.EXACT_INEXACT, layout.EXACT_NULL),
        (layout.LAYOUT_VERSION, layout.ALARM_FULL),
    ]
    assert found == expected


CASES = [
    ("B1", "X", "USD", ("100", "10.25", "1025", "-3.5", "-3.75", "0.25")),
    ("Büro", "書籍", "CHF", ("-0.000000000000000001", "0.3", "1E-7", "1E+20", "0", "-1")),
    (
        "B" * 128,
        "Ω" * 128,
        "",
        ("170141183460469231731687303715884105727", None, "0", "-1E-30", "12.50", "7"),
    ),
    (
        "B1",
        "Y",
        "€" * 20,
        (
            "-170141183460469231731687303715884105727",
            "18446744073709551616",
            "-18446744073709551616",
            "9223372036854775808",
            "-9223372036854775808",
            "0.3333333333333333333333333333333333333333",
        ),
    ),
]


@pytest.mark.parametrize(("book", "instrument", "currency", "texts"), CASES)
def test_every_member_is_what_python_wrote(
    writer, show, shared_memory_name, book, instrument, currency, texts
):
    numbers = [None if text is None else Decimal(text) for text in texts]
    # Others around it, so that the lookup has something to tell apart.
    for other in range(5):
        writer.write((book, f"other{other}"), 1, "EUR", (Decimal(1),) * 6, (1, 1), (1, 1))
    writer.write((book, instrument), 3, currency, numbers, (2, 1 << 40), (-5, (1 << 63) - 1))
    writer.claim()
    found = show(shared_memory_name, book, instrument)
    assert (found["open"], found["read"], found["status"]) == ("0", "0", "0")
    assert int(found["key_hash"]) == layout.key_hash(book, instrument)
    assert int(found["book_hash"]) == murmur2(book.encode()) & 0x7FFFFFFF
    assert (found["book"], found["instrument"], found["currency"]) == (book, instrument, currency)
    assert (found["lots_open"], found["revision"]) == ("2", str(1 << 40))
    assert (found["executed_at"], found["updated_at"]) == ("-5", str((1 << 63) - 1))
    assert (found["partition"], found["owner_epoch"]) == ("3", str(writer.epoch))
    assert found["raw_result"] == "0"
    for name, number, raw in zip(layout.DECIMALS, numbers, found["raw"].split(), strict=True):
        if number is None:
            assert math.isnan(float(found[name])) and math.isnan(float(raw))
            assert (found[f"{name}_exact"], found[f"{name}_flags"]) == ("none", str(layout.EXACT_NULL))
            continue
        assert float(found[name]) == float(raw) == float(number)
        if len(number.as_tuple().digits) > 39:
            number = Decimal("0." + "3" * 38)
        inexact = number != Decimal(texts[layout.DECIMALS.index(name)])
        assert plain(Decimal(found[f"{name}_exact"])) == plain(number)
        assert found[f"{name}_flags"] == str(layout.EXACT_INEXACT if inexact else 0)


def test_what_is_not_there_and_who_is_not_there(writer, show, shared_memory_name):
    assert show(shared_memory_name, "B1", "X")["read"] == "1"
    writer.claim()
    assert show(shared_memory_name, "B1", "X")["read"] == "1"
    assert show(shared_memory_name + "-none", "B1", "X") == {"open": "2"}


def test_each_way_of_not_being_live(writer, show, shared_memory_name):
    writer.write(("B1", "X"), 0, "USD", (Decimal(1),) * 6, (1, 1), (1, 1))
    writer.claim()
    assert show(shared_memory_name, "B1", "X")["status"] == "0"
    writer.release(range(PARTITIONS))
    assert show(shared_memory_name, "B1", "X")["status"] == "3"
    eventually(lambda: show(shared_memory_name, "B1", "X")["status"] == "1")
    writer.segment.set("state", layout.CLOSED)
    assert show(shared_memory_name, "B1", "X")["status"] == "2"


def test_a_slot_that_stays_half_written_is_busy(writer, show, shared_memory_name):
    writer.write(("B1", "X"), 0, "USD", (Decimal(1),) * 6, (1, 1), (1, 1))
    writer.claim()
    writer.segment.mapping.words[layout.SEGMENT_HEADER_SIZE >> 3] += 1
    assert show(shared_memory_name, "B1", "X")["read"] == "4"


def test_the_headers_are_cpp_too(tmp_path):
    source = tmp_path / "include.cpp"
    headers = "".join(f'#include "{path.name}"\n' for path in sorted(HEADER_FOLDER.glob("*.h")))
    source.write_text(f'{headers}int main() {{ return pks_book_hash("B1") == 0; }}\n')
    options = ("-std=c++11", *(option for option in STRICT if not option.startswith("-std")))
    program = compile_c(source, tmp_path / "include", *options, compiler="c++")
    assert output(program) == ""
