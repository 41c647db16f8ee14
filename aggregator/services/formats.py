"""How prices, percentages and moments are written for people."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

# How many decimals the currencies have that do not have two, by ISO 4217.
DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def money(minor: int, currency: str) -> str:
    """An amount of minor units, exactly: 1,234.50 EUR."""
    decimals = DECIMALS.get(currency, 2)
    sign, digits = "-" if minor < 0 else "", str(abs(minor)).zfill(decimals + 1)
    whole, fraction = (digits[:-decimals], f".{digits[-decimals:]}") if decimals else (digits, "")
    return f"{sign}{int(whole):,}{fraction} {currency}"


def percent(value: float) -> str:
    """A change in percent, with its sign and no more decimals than it has: -12.5 %."""
    text = f"{value:+,.2f}".rstrip("0").rstrip(".")
    return f"{'0' if text in ('+0', '-0') else text} %"


def moment(text: str, zone: ZoneInfo) -> str:
    """A moment of ISO 8601 by the clock of a time zone: 20 November 2026, 14:05."""
    local = datetime.fromisoformat(text).astimezone(zone)
    return f"{local.day} {local:%B %Y, %H:%M}"


def day(text: str) -> str:
    """A date of ISO 8601: Friday, 20 November 2026."""
    when = date.fromisoformat(text)
    return f"{when:%A}, {when.day} {when:%B %Y}"
