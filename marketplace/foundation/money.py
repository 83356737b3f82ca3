"""Money: an integer number of minor units and an ISO 4217 currency. Never a float; converted once, at the edges."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from babel.numbers import format_currency

# Digits after the point in what is charged. Source: https://docs.stripe.com/currencies (zero-decimal and special
# cases). CLDR disagrees for some (ISK, UGX, HUF, TWD), so a currency must be listed here to be used at all.
EXPONENTS = {
    "CNY": 2,
    "HKD": 2,
    "USD": 2,
    "EUR": 2,
    "GBP": 2,
    "CHF": 2,
    "SGD": 2,
    "AUD": 2,
    "CAD": 2,
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
}
# What courses cost unless a run says otherwise.
DEFAULT_CURRENCY = "CNY"
# More digits than this before the point are no price.
MOST_DIGITS = 15
# Thousands are marked throughout or not at all, and in groups of three.
AMOUNT = re.compile(
    r"(?P<sign>[+-]?) ?[¥$€£]? ?(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?P<part>\.\d*)?", re.ASCII
)


class MoneyError(ValueError):
    """An amount or currency that cannot be used: a mistake in code or an input to be refused by its reader."""


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` minor units (fen, cents, or whole yen) of `currency`."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse a currency without a known exponent, and anything but an int."""
        if self.currency not in EXPONENTS:
            message = f"currency {self.currency!r} is not in the table of exponents"
            raise MoneyError(message)
        if type(self.minor) is not int:
            message = f"minor units are whole numbers, not {type(self.minor).__name__}"
            raise MoneyError(message)

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read an amount in major units ("1,280.50", "￥1 280"); MoneyError if none, huge or too precise.

        Whoever writes "128,50" or "1e3" means something else than they would be charged: that is no amount.
        """
        found = AMOUNT.fullmatch(unicodedata.normalize("NFKC", text).strip())
        if found is None:
            message = f"not an amount: {text!r}"
            raise MoneyError(message)
        amount = Decimal(found["sign"] + found["whole"].replace(",", "").replace(" ", "") + (found["part"] or ""))
        if abs(amount.adjusted()) >= MOST_DIGITS:
            message = f"{text!r} is no amount of money"
            raise MoneyError(message)
        minor = amount.scaleb(EXPONENTS.get(currency, 0))
        if minor != minor.to_integral_value():
            message = f"{text!r} is not an amount in {currency}"
            raise MoneyError(message)
        return cls(int(minor), currency)

    @property
    def is_zero(self) -> bool:
        """Whether nothing is due."""
        return self.minor == 0

    @property
    def major(self) -> Decimal:
        """The amount in major units, exactly."""
        return Decimal(self.minor).scaleb(-EXPONENTS[self.currency])

    def format(self, locale: str) -> str:
        """Write the amount as the CLDR locale does, with as many digits as the currency is charged in."""
        digits = EXPONENTS[self.currency]
        pattern = "¤#,##0" + ("." + "0" * digits if digits else "")
        return format_currency(
            self.major, self.currency, format=pattern, locale=locale.replace("-", "_"), currency_digits=False
        )

    def allocate(self, weights: Sequence[int]) -> list[Money]:
        """Split by integer weights without losing a unit: largest remainders first, earlier shares on a tie."""
        total = sum(weights)
        if not weights or total <= 0 or min(weights) < 0:
            message = "weights must be non-negative and not all zero"
            raise MoneyError(message)
        sign = -1 if self.minor < 0 else 1
        shares = [divmod(abs(self.minor) * weight, total) for weight in weights]
        left = abs(self.minor) - sum(whole for whole, _ in shares)
        by_remainder = sorted(range(len(weights)), key=lambda index: (-shares[index][1], index))
        gets_one_more = set(by_remainder[:left])
        return [
            Money(sign * (whole + (index in gets_one_more)), self.currency) for index, (whole, _) in enumerate(shares)
        ]

    def _same_currency(self, other: Money) -> None:
        if other.currency != self.currency:
            message = f"{self.currency} and {other.currency} do not mix"
            raise MoneyError(message)

    def __add__(self, other: Money) -> Money:
        """Add an amount of the same currency."""
        self._same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        """Take away an amount of the same currency."""
        self._same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        """The same amount the other way."""
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        """Compare amounts of the same currency."""
        self._same_currency(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        """Compare amounts of the same currency."""
        return not other < self
