"""From how many images a month on one way to have them made is cheaper than another; exact, as money is.

A way costs something each month, however many images there are, and something for each image.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Monthly:
    """What a month of one way costs."""

    fixed_usd: Decimal
    """However many images: starting nodes once, or the month's part of what was bought."""
    usd_per_image: Decimal
    """For each image beside that."""
    most_images: int | None = None
    """In a month; None: as many as one likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Images a month, from `least` to `most`."""

    least: int
    most: int | None
    """None: without end."""


def wins(one: Monthly, other: Monthly) -> Volume | None:
    """The images a month, 1 or more, at which `one` costs less than `other`; None: at no number that it can make."""
    saved = Fraction(other.usd_per_image) - Fraction(one.usd_per_image)
    paid = Fraction(one.fixed_usd) - Fraction(other.fixed_usd)
    least, most = 1, one.most_images
    if saved > 0:
        least = max(1, paid // saved + 1)
    elif saved < 0:
        below = -(-(paid / saved) // 1) - 1
        most = below if most is None else min(most, below)
    elif paid >= 0:
        return None
    return None if most is not None and most < least else Volume(least=least, most=most)


def images_to_break_even(price_usd: Decimal, usd_per_image: Decimal, other_usd_per_image: Decimal) -> int | None:
    """After how many images a purchase has cost no more than the other way; None: never.

    Args:
        price_usd: paid once.
        usd_per_image: paid for each image beside it.
        other_usd_per_image: what each image costs the other way.
    """
    saved = Fraction(other_usd_per_image) - Fraction(usd_per_image)
    return -(-(Fraction(price_usd) / saved) // 1) if saved > 0 else None
