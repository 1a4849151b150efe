"""A small file of each format, and pieces of bytes that readers stumble over."""

import json

FILE_NAMES = {
    "canonical": "fills.csv",
    "binance-stream": "tape.jsonl",
    "lean-tick": "20131007_spy_Trade_Tick.csv",
    "ibkr-flex": "flex.xml",
}

_TRADE = {"e": "trade", "E": 1, "T": 1723161256560, "s": "BTCUSDT", "t": 7, "p": "61800.30", "q": "0.006", "X": "MARKET", "m": False}  # fmt: skip
_EVENTS = (
    _TRADE,
    {**_TRADE, "t": 8, "m": True, "M": True},
    {**_TRADE, "s": "ETHUSD_PERP", "q": "11"},
    {"e": "bookTicker", "u": 1, "s": "BTCUSDT", "b": "1", "a": "2"},
)

_FLEX = """<FlexQueryResponse queryName="q" type="AF">
<FlexStatements count="1">
<FlexStatement accountId="U1" fromDate="2025-01-01">
<Trades>
<Trade accountId="U1" currency="USD" assetCategory="OPT" symbol="MSTR  250214C00500000" conid="752508300" tradeID="7133" multiplier="100" dateTime="2025-01-13;13:30:47" settleDateTarget="2025-01-14" exchange="NASDAQOM" quantity="-1" tradePrice="7.68" ibCommission="-0.8926904" ibCommissionCurrency="USD" buySell="SELL" transactionID="308" levelOfDetail="EXECUTION" />
<Trade accountId="U1" currency="USD" assetCategory="BOND" symbol="T 4.5" tradeDate="20250115" quantity="10000" tradePrice="98.5" tradeMoney="9850" accruedInt="75.5" />
<Trade accountId="U1" currency="USD" assetCategory="OPT" symbol="MSTR  250214C00500000" conid="752508300" tradeID="" origTradeID="7133" multiplier="100" dateTime="2025-01-13;13:30:47" quantity="1" tradePrice="7.68" buySell="SELL (Ca.)" transactionID="309" origTransactionID="308" levelOfDetail="EXECUTION" />
</Trades>
<CashTransactions><CashTransaction levelOfDetail="DETAIL" amount="1" /></CashTransactions>
</FlexStatement>
</FlexStatements>
</FlexQueryResponse>
"""

SAMPLES = {
    "canonical": (
        b"trade_id,book,instrument,side,quantity,price,fee,executed_at,action,original_trade_id\n"
        b"t1,B1,X,BUY,100,10,1,2026-01-05T10:00:00Z,NEW,\n"
        b"t2,B1,X,SELL,40,10.5,0.4,2026-01-05T11:00:00.123456789+01:00,NEW,\n"
        b"t3,B1,X,SELL,40,10.5,0.4,2026-01-05T11:00:00Z,CANCEL,t2\n"
    ),
    "binance-stream": "\n".join(
        f"172316125508817636{number} "
        + json.dumps({"stream": f"{str(event['s']).lower()}@{event['e']}", "data": event})
        for number, event in enumerate(_EVENTS)
    ).encode(),
    "lean-tick": (
        b"14400464,1674100,100,P,20002000,0\n"
        b"14400465,1674200,1400,P,20002000,0\n"
        b"34200000,1674150,0,Q,0,1\n"
        b"57600000,1674100,199,P,20002000,0\n"
    ),
    "ibkr-flex": _FLEX.encode(),
}

NASTY = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b",", b'"', b"'", b"<", b">", b"&", b"&#0;", b"{", b"}",
    b"[", b"]", b":", b"=", b"+", b"-", b"@", b".", b"e9", b"1e999999", b"NaN", b"Infinity", b"-0", b"9" * 61, b"9" * 25,
    b"0." + b"0" * 58 + b"1", b"null", b"true", b"\\ud800", b"\\u0000", "\u202e".encode(), "\u0661".encode(),
    "\U0001f600".encode(), b"<!DOCTYPE a>", b"<!--", b"]]>", b"<?", b"(Ca.)", b"[" * 2_000, b"2025-13-45", b" ", b"",
)  # fmt: skip
