"""`ibkr-flex`: which rows are fills, what they say, which trade a cancel takes away, which id a row without one gets."""

import gzip
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.decoding import DecodeOptions
from connectors.venues.ibkr_flex import decode
from schemas.times import format_time

TRADE = {
    "accountId": "U1", "currency": "USD", "assetCategory": "STK", "symbol": "MSTR", "conid": "272110",
    "tradeID": "7001", "transactionID": "9001", "multiplier": "1", "dateTime": "2025-03-06;10:36:19",
    "tradeDate": "2025-03-06", "settleDateTarget": "2025-03-07", "exchange": "ISLAND", "quantity": "10",
    "tradePrice": "315.13", "tradeMoney": "3151.3", "taxes": "0", "ibCommission": "-1.008972614",
    "ibCommissionCurrency": "USD", "buySell": "BUY", "levelOfDetail": "EXECUTION",
}  # fmt: skip
CANCEL = {
    "buySell": "BUY (Ca.)", "transactionType": "TradeCancel", "notes": "Ca", "quantity": "-10", "tradeID": "",
    "transactionID": "9002", "origTradeID": "7001", "origTransactionID": "9001", "ibCommission": "0",
}  # fmt: skip


def trade(**changes: str | None) -> str:
    values = {name: value for name, value in {**TRADE, **changes}.items() if value is not None}
    return "<Trade " + " ".join(f"{name}={quoteattr(value)}" for name, value in values.items()) + " />"


def cancel(**changes: str | None) -> str:
    return trade(**{**CANCEL, **changes})


def statement(folder: Path, *elements: str, name: str = "flex.xml") -> str:
    path = folder / name
    path.write_text(
        '<FlexQueryResponse queryName="q" type="AF">\n<FlexStatements count="1">\n<FlexStatement accountId="U1">\n'
        "<Trades>\n"
        + "\n".join(elements)
        + "\n</Trades>\n</FlexStatement></FlexStatements></FlexQueryResponse>"
    )
    return str(path)


def read(folder: Path, *elements: str, options: DecodeOptions | None = None):
    decoded = decode([statement(folder, *elements)], options or DecodeOptions())
    return decoded.fills(), decoded


def one(folder: Path, **changes: str | None):
    (found,), _ = read(folder, trade(**changes))
    return found


def faults_of(folder: Path, *elements: str) -> list[str]:
    with pytest.raises(InputFaults) as raised:
        read(folder, *elements)
    return [str(fault).partition("flex.xml: ")[2] for fault in raised.value.faults]


def ids(fills) -> list[tuple[str, str | None]]:
    return [(found.trade_id, found.original_trade_id) for found in fills]


def test_an_execution_becomes_a_fill(tmp_path: Path):
    found = one(tmp_path)
    assert (found.trade_id, found.instrument, found.side, found.action) == ("7001", "MSTR", "BUY", "NEW")
    assert (str(found.quantity), str(found.price)) == ("10", "315.13")
    assert format_time(found.executed_at) == "2025-03-06T15:36:19Z"
    assert [(fee.kind, str(fee.amount), fee.currency) for fee in found.fees] == [
        ("commission", "1.008972614", "")
    ]
    assert (found.book, found.account, found.venue) == ("U1", "U1", "ISLAND")
    assert (found.instrument_class, found.multiplier, found.currency) == ("equity", Decimal(1), "USD")
    assert (found.settlement_date, found.source_sequence, found.source) == (
        "2025-03-07", 7001, "ibkr-flex:flex.xml",
    )  # fmt: skip


def test_every_other_record_is_skipped_by_name_and_level(tmp_path: Path):
    fills, decoded = read(
        tmp_path,
        trade(),
        trade(levelOfDetail="ORDER"),
        trade(levelOfDetail=None, tradeID="7002"),
        '<Order levelOfDetail="ORDER" accountId="U1" />',
        '<CashTransaction levelOfDetail="DETAIL" amount="1" /><CashTransaction levelOfDetail="SUMMARY" amount="1" />',
        '<OpenPosition symbol="MSTR" />',
        "<CorporateActions></CorporateActions>",
        trade(tradeID="7003", quantity="0"),
    )
    assert len(fills) == 2
    assert decoded.counts.document() == {
        "read": 8, "fills": 2, "duplicates": 0, "rejected": 0,
        "skipped": {
            "Trade.ORDER": 1, "Order.ORDER": 1, "CashTransaction.DETAIL": 1, "CashTransaction.SUMMARY": 1,
            "OpenPosition": 1, "Trade without quantity": 1,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({"buySell": "SELL", "quantity": "-10"}, "SELL"),
        ({"buySell": "SELL", "quantity": "10"}, "SELL"),
        ({"buySell": None, "quantity": "-10"}, "SELL"),
        ({"buySell": None, "quantity": "10"}, "BUY"),
    ],
)
def test_sides(tmp_path: Path, changes: dict, side: str):
    found = one(tmp_path, **changes)
    assert (found.side, found.quantity) == (side, 10)


@pytest.mark.parametrize(
    ("changes", "time"),
    [
        ({"dateTime": "20250706;103619"}, "2025-07-06T14:36:19Z"),
        ({"dateTime": "2025-07-06;103619"}, "2025-07-06T14:36:19Z"),
        ({"dateTime": "2025-07-06, 10:36:19"}, "2025-07-06T14:36:19Z"),
        ({"dateTime": "2025-07-06 10:36:19"}, "2025-07-06T14:36:19Z"),
        ({"dateTime": "2025-07-06;10:36:19 EST"}, "2025-07-06T15:36:19Z"),
        ({"dateTime": "2025-07-06T10:36:19+02:00"}, "2025-07-06T08:36:19Z"),
        ({"dateTime": "2025-07-06;10:36:19 -0530"}, "2025-07-06T16:06:19Z"),
        ({"dateTime": "20250309;030000"}, "2025-03-09T07:00:00Z"),
        ({"dateTime": "20250309;015959"}, "2025-03-09T06:59:59Z"),
        ({"dateTime": "20251102;020000"}, "2025-11-02T07:00:00Z"),
        ({"dateTime": None}, "2025-03-06T05:00:00Z"),
        ({"dateTime": ""}, "2025-03-06T05:00:00Z"),
        ({"dateTime": "--", "tradeTime": "093406"}, "2025-03-06T14:34:06Z"),
    ],
)
def test_times_are_new_yorks_unless_they_say_otherwise(tmp_path: Path, changes: dict, time: str):
    assert format_time(one(tmp_path, **changes).executed_at) == time


@pytest.mark.parametrize(
    ("category", "instrument_class"),
    [("STK", "equity"), ("OPT", "option"), ("CASH", "fx"), ("FUT", "future"), ("XYZ", "xyz"), ("", "")],
)
def test_classes(tmp_path: Path, category: str, instrument_class: str):
    assert one(tmp_path, assetCategory=category).instrument_class == instrument_class


def test_an_option_has_its_multiplier_and_underlying(tmp_path: Path):
    found = one(
        tmp_path,
        assetCategory="OPT",
        symbol="MSTR  250214C00500000",
        multiplier="100",
        underlyingSymbol="MSTR",
    )
    assert (found.instrument, found.multiplier, found.underlying) == (
        "MSTR  250214C00500000", Decimal(100), "MSTR",
    )  # fmt: skip


def test_currencies_trade_as_pairs_with_a_fee_in_another_currency(tmp_path: Path):
    found = one(tmp_path, assetCategory="CASH", symbol="EUR.USD", ibCommissionCurrency="CHF")
    assert (found.instrument, found.currency, found.fees[0].currency) == ("EUR.USD", "USD", "CHF")


def test_a_rebate_is_a_negative_fee_and_taxes_are_a_fee_of_their_own(tmp_path: Path):
    found = one(tmp_path, ibCommission="0.25", taxes="-1.5")
    assert [(fee.kind, str(fee.amount)) for fee in found.fees] == [("commission", "-0.25"), ("tax", "1.5")]
    assert one(tmp_path, ibCommission=None).fees == ()


@pytest.mark.parametrize(
    ("changes", "multiplier"),
    [
        ({"quantity": "10000", "tradePrice": "98.5", "tradeMoney": "9850"}, "0.01"),
        ({"quantity": "10000", "tradePrice": "98.5", "tradeMoney": None}, "0.01"),
        ({"quantity": "100", "tradePrice": "98.5", "tradeMoney": "9850"}, "1"),
    ],
)
def test_bonds_are_priced_in_percent(tmp_path: Path, changes: dict, multiplier: str):
    assert str(one(tmp_path, assetCategory="BOND", **changes).multiplier) == multiplier


def test_digits_beyond_the_default_precision_are_kept(tmp_path: Path):
    digits = "1." + "1234567890" * 4
    found = one(tmp_path, buySell="SELL", quantity=f"-{digits}", ibCommission=f"-{digits}")
    assert str(found.quantity) == str(found.fees[0].amount) == digits[:-1]


def test_the_book_is_the_options_else_the_account(tmp_path: Path):
    elements = trade(), trade(tradeID="7002", symbol="IBM", conid="1"), trade(tradeID="7003", accountId="U2")
    options = DecodeOptions(book="ALL", books={"U2": "SECOND", "IBM": "BLUE"})
    assert [found.book for found in read(tmp_path, *elements, options=options)[0]] == [
        "ALL",
        "BLUE",
        "SECOND",
    ]
    assert [found.book for found in read(tmp_path, *elements)[0]] == ["U1", "U1", "U2"]
    assert one(tmp_path, accountId=None).book is None


def test_fills_come_in_the_order_of_matching(tmp_path: Path):
    fills, _ = read(
        tmp_path,
        trade(tradeID="10000", dateTime="20250307;100000"),
        trade(tradeID="9000", dateTime="20250307;100000"),
        trade(tradeID="20000", dateTime="20250306;100000"),
    )
    assert [found.trade_id for found in fills] == ["20000", "9000", "10000"]


def test_the_same_row_again_is_a_duplicate_and_another_of_its_id_is_rejected(tmp_path: Path):
    fills, decoded = read(tmp_path, trade(), trade(), trade(tradePrice="316"))
    assert ids(fills) == [("7001", None)]
    assert (decoded.counts.duplicates, decoded.counts.rejected) == (1, 1)
    assert "line 7: tradeID" in str(decoded.rejections[0])


def test_overlapping_statements_are_read_as_one(tmp_path: Path):
    paths = [
        statement(tmp_path, trade(), trade(tradeID=None, transactionID=None), name="a.xml"),
        statement(
            tmp_path, trade(), trade(tradeID=None, transactionID=None), trade(tradeID="7009"), name="b.xml"
        ),
    ]
    decoded = decode(paths, DecodeOptions())
    assert len(decoded.fills()) == 3
    assert decoded.counts.duplicates == 2


# -- cancels ----------------------------------------------------------------------------------------------------------


def test_a_cancel_takes_away_the_trade_that_it_names(tmp_path: Path):
    fills, decoded = read(tmp_path, cancel(), trade())
    assert ids(fills) == [("7001", None), ("7001/cancel", "7001")]
    assert [(found.action, found.side, found.quantity) for found in fills] == [
        ("NEW", "BUY", 10), ("CANCEL", "BUY", 10),
    ]  # fmt: skip
    assert decoded.counts.fills == 2


def test_a_cancel_of_a_sale(tmp_path: Path):
    fills, _ = read(
        tmp_path, trade(buySell="SELL", quantity="-10"), cancel(buySell="SELL (Ca.)", quantity="10")
    )
    assert [(found.action, found.side) for found in fills] == [("NEW", "SELL"), ("CANCEL", "SELL")]


def test_a_cancel_without_a_name_takes_away_the_trade_of_its_content(tmp_path: Path):
    nameless = {"origTradeID": None, "origTransactionID": None}
    fills, _ = read(
        tmp_path,
        trade(),
        trade(tradeID="7002", transactionID="9005"),
        trade(tradeID="7003", tradePrice="1"),
        cancel(**nameless),
    )
    assert ids(fills)[-1] == ("7003", None)
    assert ("7001/cancel", "7001") in ids(fills)
    fills, _ = read(
        tmp_path,
        trade(),
        trade(tradeID="7002", transactionID="9005"),
        cancel(**nameless),
        cancel(**nameless, transactionID="9003"),
    )
    assert sorted(ids(fills)) == [
        ("7001", None), ("7001/cancel", "7001"), ("7002", None), ("7002/cancel", "7002"),
    ]  # fmt: skip


def test_a_cancel_where_the_query_left_the_side_out(tmp_path: Path):
    fills, _ = read(tmp_path, trade(buySell=None), cancel(buySell=None))
    assert [(found.action, found.side) for found in fills] == [("NEW", "BUY"), ("CANCEL", "BUY")]


def test_a_cancel_by_its_own_trade_id(tmp_path: Path):
    fills, _ = read(tmp_path, trade(), cancel(tradeID="7001", origTradeID=None, origTransactionID=None))
    assert ids(fills) == [("7001", None), ("7001/cancel", "7001")]


def test_a_corrected_trade_is_another_trade(tmp_path: Path):
    corrected = trade(transactionID="9003", quantity="9", tradePrice="314")
    fills, decoded = read(tmp_path, trade(), cancel(), corrected)
    assert sorted(ids(fills)) == [("7001", None), ("7001/9003", None), ("7001/cancel", "7001")]
    assert decoded.counts.rejected == 0
    # Alone in a later statement, cancel and correction have the same ids.
    fills, _ = read(tmp_path, cancel(), corrected)
    assert sorted(ids(fills)) == [("7001/9003", None), ("7001/cancel", "7001")]


def test_a_correction_of_a_correction(tmp_path: Path):
    fills, _ = read(
        tmp_path,
        trade(),
        cancel(),
        trade(transactionID="9003", quantity="9"),
        cancel(transactionID="9004", origTransactionID="9003", quantity="-9"),
        trade(transactionID="9005", quantity="8"),
    )
    assert sorted(ids(fills)) == [
        ("7001", None), ("7001/9003", None), ("7001/9003/cancel", "7001/9003"), ("7001/9005", None),
        ("7001/cancel", "7001"),
    ]  # fmt: skip


def test_the_last_version_before_a_cancel_is_taken_where_nothing_else_fits(tmp_path: Path):
    fills, _ = read(tmp_path, trade(), cancel(origTransactionID="1", tradePrice="99"))
    assert ids(fills)[-1] == ("7001/cancel", "7001")


def test_the_same_cancel_again_is_a_duplicate(tmp_path: Path):
    paths = [
        statement(tmp_path, trade(), cancel(), name="a.xml"),
        statement(tmp_path, cancel(), name="b.xml"),
    ]
    decoded = decode(paths, DecodeOptions())
    assert ids(decoded.fills()) == [("7001", None), ("7001/cancel", "7001")]
    assert decoded.counts.duplicates == 1


# -- minted ids -------------------------------------------------------------------------------------------------------


def test_minted_ids_are_stable_and_tell_equal_rows_apart(tmp_path: Path):
    bare = {"tradeID": None, "transactionID": None}
    fills, _ = read(tmp_path, trade(**bare), trade(**bare), trade(**bare, symbol="IBM", conid="8"))
    found = [trade_id for trade_id, _ in ids(fills)]
    assert len(set(found)) == 3
    again = [
        trade_id for trade_id, _ in ids(read(tmp_path, trade(tradeID="1"), trade(**bare), trade(**bare))[0])
    ]
    assert set(found[:2]) & set(again) == set(again) - {"1"}


def test_a_row_without_trade_id_takes_its_transaction_or_execution(tmp_path: Path):
    assert one(tmp_path, tradeID="").trade_id == "ibkr:transaction:9001"
    found = one(tmp_path, tradeID=None, transactionID="0", ibExecID="0000d970.01")
    assert (found.trade_id, found.source_sequence) == ("ibkr:execution:0000d970.01", 5)


def test_a_cancel_of_a_minted_trade_finds_it_in_any_statement(tmp_path: Path):
    bare = {"tradeID": None, "transactionID": None, "origTradeID": None, "origTransactionID": None}
    fills, _ = read(tmp_path, trade(**bare), cancel(**bare))
    (minted, _), (_, original) = ids(fills)
    assert original == minted
    ((_, alone),) = ids(read(tmp_path, cancel(**bare))[0])
    assert alone == minted
    ((_, by_transaction),) = ids(read(tmp_path, cancel(origTradeID=None))[0])
    assert by_transaction == "ibkr:transaction:9001"


def test_two_contracts_of_one_symbol_are_two_instruments(tmp_path: Path):
    fills, _ = read(tmp_path, trade(conid="30000"), trade(conid="4000", tradeID="7002"))
    assert [(found.trade_id, found.instrument) for found in fills] == [
        ("7001", "MSTR#30000"),
        ("7002", "MSTR"),
    ]
    assert one(tmp_path, symbol="").instrument == "272110"


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tradePrice": ""}, "line 6: tradePrice: expected a plain decimal number (optional sign, ASCII digits, optional point), found nothing"),
        ({"quantity": "1,000"}, "line 6: quantity: expected a plain decimal number (optional sign, ASCII digits, optional point), found 1,000"),
        ({"ibCommission": "1e-5"}, "line 6: ibCommission: expected a plain decimal number (optional sign, ASCII digits, optional point), found 1e-5"),
        ({"buySell": "HOLD"}, "line 6: buySell: expected BUY, SELL, BUY (Ca.) or SELL (Ca.), found HOLD"),
        ({"quantity": "-10"}, "line 6: quantity: expected a quantity above 0 for a BUY, found -10"),
        ({"dateTime": "06/03/2025"}, "line 6: dateTime: expected a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss, found 06/03/2025"),
        ({"dateTime": "20250230;100000"}, "line 6: dateTime: expected a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss, found 20250230;100000"),
        ({"dateTime": "00010101;100000"}, "line 6: dateTime: expected a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss, found 00010101;100000"),
        ({"dateTime": "20250306;100000 XYZ"}, "line 6: dateTime: expected a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss, found 20250306;100000 XYZ"),
        ({"dateTime": None, "tradeDate": None}, "line 6: tradeDate: expected a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss, found nothing"),
        ({"symbol": "=cmd"}, "line 6: symbol: expected a first character other than = + - @, found =cmd"),
        ({"symbol": None, "conid": None}, "line 6: symbol: expected a symbol, or a conid, found nothing"),
        ({"accountId": "@x"}, "line 6: accountId: expected a first character other than = + - @, found @x"),
        ({"tradeID": "+1"}, "line 6: tradeID: expected a first character other than = + - @, found +1"),
        ({"tradeID": "1" * 49}, f"line 6: tradeID: expected an id of at most 48 characters, found {'1' * 49}"),
        ({"exchange": "x" * 129}, f"line 6: exchange: expected at most 128 printable characters, found {'x' * 79}…"),
        ({"settleDateTarget": "2025-13-01"}, "line 6: settleDateTarget: expected a day as yyyy-MM-dd or yyyyMMdd, found 2025-13-01"),
        ({"multiplier": "0"}, "line 6: multiplier: expected a number above 0, found 0"),
    ],
)  # fmt: skip
def test_a_malformed_row_refuses_the_statement(tmp_path: Path, changes: dict, fault: str):
    assert faults_of(tmp_path, trade(tradeID="1"), trade(**changes)) == [fault]


def test_every_fault_of_a_row_is_said(tmp_path: Path):
    found = faults_of(tmp_path, trade(quantity="x", tradePrice="y", dateTime="z"), trade(symbol="-1"))
    assert [fault.split(":")[1].strip() for fault in found] == [
        "quantity",
        "tradePrice",
        "dateTime",
        "symbol",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<FlexQueryResponse><FlexStatements>", "expected well-formed XML"),
        ("not xml", "expected well-formed XML"),
        ("<FlexStatementResponse><Status>Fail</Status></FlexStatementResponse>", "expected a Flex statement (<FlexQueryResponse>), found <FlexStatementResponse>"),
        ('<!DOCTYPE a [<!ENTITY b "bbb">]><FlexQueryResponse c="&b;"/>', "expected XML without document type and entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><FlexQueryResponse/>', "expected XML without document type and entities"),
        ('<?xml version="1.0" encoding="no-such"?><FlexQueryResponse/>', "expected"),
    ],
)  # fmt: skip
def test_xml_that_is_no_statement_is_refused(tmp_path: Path, content: str, fault: str):
    path = tmp_path / "flex.xml"
    path.write_text(content)
    with pytest.raises(InputFaults) as raised:
        decode([str(path)], DecodeOptions()).fills()
    assert fault in str(raised.value.faults[0])


def test_a_packed_statement_is_read_as_it_is(tmp_path: Path):
    path = tmp_path / "flex.xml.gz"
    path.write_bytes(gzip.compress(Path(statement(tmp_path, trade())).read_bytes()))
    (found,) = decode([str(path)], DecodeOptions()).fills()
    assert (found.trade_id, found.source) == ("7001", "ibkr-flex:flex.xml.gz")
