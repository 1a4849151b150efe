"""Which instrument a Binance trade is of: the same symbol is traded on three markets.

`BTCUSDT` is a spot pair and a USD-margined perpetual; the stream does not name its market, but its trades
do: a spot trade carries the flag `M`, a futures trade its kind `X`. Symbols of coin-margined contracts end in
`USD_PERP` or `USD_` and a date. Their contract is 100 USD of BTC, 10 USD of any other coin; they are inverse and
settle in the coin (Binance, "COIN-M Futures Contract Specifications").
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from schemas.numbers import ONE

VENUE = "BINANCE"

_COIN_MARGINED = re.compile(r"([A-Z0-9]+)USD_(PERP|[0-9]{6})", re.ASCII)
_DATED = re.compile(r"(.+)_([0-9]{6})", re.ASCII)
_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "DAI", "BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "SOL",
    "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN", "COP", "CZK", "IDR",
    "NGN", "USD",
)  # fmt: skip

CONTRACT_USD = {"BTC": Decimal(100)}
CONTRACT_USD_OTHER = Decimal(10)

MARKETS = ("spot", "usdm", "cm")


@dataclass(frozen=True, slots=True)
class Market:
    """The terms of one symbol on one market. `trade_prefix` makes its trade numbers unique over all markets."""

    instrument: str
    trade_prefix: str
    instrument_class: str
    underlying: str
    currency: str | None
    multiplier: Decimal
    inverse: bool


def market_of(path: str, spot_flag: bool, kind_given: bool) -> str | None:
    """`spot` or `futures`, by the trade's own fields; where it has neither, by a folder of the path."""
    if spot_flag:
        return "spot"
    if kind_given:
        return "futures"
    folders = re.split(r"[/\\]", path.lower())[:-1]
    named = [folder for folder in folders if folder in MARKETS]
    if not named:
        return None
    return "spot" if named[-1] == "spot" else "futures"


def terms_of(symbol: str, market: str) -> Market:
    """The terms of a symbol (upper case) on `spot` or `futures`."""
    coin = _COIN_MARGINED.fullmatch(symbol)
    if coin is not None and market == "futures":
        base, expiry = coin.groups()
        return Market(
            instrument=f"{symbol}.{VENUE}",
            trade_prefix=f"binance:cm:{symbol.lower()}:",
            instrument_class="perpetual" if expiry == "PERP" else "future",
            underlying=base,
            currency=base,
            multiplier=CONTRACT_USD.get(base, CONTRACT_USD_OTHER),
            inverse=True,
        )
    if market == "spot":
        base, currency = _pair(symbol)
        return Market(
            f"{symbol}.{VENUE}", f"binance:spot:{symbol.lower()}:", "spot", base, currency, ONE, False
        )
    dated = _DATED.fullmatch(symbol)
    base, currency = _pair(symbol if dated is None else dated.group(1))
    instrument = f"{symbol}-PERP.{VENUE}" if dated is None else f"{symbol}.{VENUE}"
    instrument_class = "perpetual" if dated is None else "future"
    return Market(instrument, f"binance:usdm:{symbol.lower()}:", instrument_class, base, currency, ONE, False)


def _pair(symbol: str) -> tuple[str, str | None]:
    """Base and quote of a pair; no quote where its end is no known one."""
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    return "", None
