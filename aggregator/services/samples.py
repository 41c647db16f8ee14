"""A plausible catalogue to try things with: the same seed gives the same products."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any
from uuid import UUID

# The parts of the catalogue, each after the one that it is a part of.
CATEGORIES = (
    *(("Home", None), ("Kitchen", "home"), ("Tools", "home"), ("Household", "home")),
    *(("Electronics", None), ("Audio", "electronics"), ("Computers", "electronics")),
    *(("Outdoors", None), ("Sports", "outdoors"), ("Camping", "outdoors")),
)
# What it is, of which category, how it differs, what can be said of it, what about it costs in cents.
KINDS = [
    ("Espresso machine", "kitchen", ["Duo", "Classic", "Compact"], "15 bar pump, {n} l water tank", 38_900),
    ("Running shoes", "sports", ["Trail", "Road", "Race"], "Breathable upper, {n} mm drop, recycled foam", 11_900),
    ("Noise-cancelling headphones", "audio", ["Studio", "Travel", "Air"], "{n} hours of battery, folds flat", 24_900),
    ("Mechanical keyboard", "computers", ["TKL", "Full", "Mini"], "Hot-swappable, {n} g actuation force", 12_900),
    ("Camping tent", "camping", ["Ridge", "Dome", "Tunnel"], "For {n} people, 3000 mm water column", 21_900),
    ("Cordless drill", "tools", ["Pro", "Home", "Impact"], "18 V, {n} Nm of torque, two batteries", 14_900),
    ("4K monitor", "computers", ["Office", "Studio", "Curved"], "{n} inches, USB-C with 90 W", 39_900),
    ("Robot vacuum", "household", ["Silent", "Max", "Pet"], "Maps {n} rooms, empties itself", 44_900),
    ("Cast-iron pan", "kitchen", ["Grill", "Skillet", "Wok"], "Pre-seasoned, {n} cm, for every hob", 4_900),
    ("City bicycle", "sports", ["Step", "Diamond", "Cargo"], "{n} gears, belt drive, hub dynamo", 89_900),
    ("E-book reader", "electronics", ["Light", "Note", "Water"], "{n} GB, warm front light", 15_900),
    ("Air purifier", "household", ["Room", "Loft", "Desk"], "HEPA 13, for {n} square metres", 18_900),
]
BRANDS = ["Aurelo", "Brennholt", "Castera", "Dunmore", "Evolta", "Fjellvik", "Granato", "Hexley"]


def products(
    count: int, seed: int = 1, start: int = 0, categories: Mapping[str, UUID] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the fields of count products, each with an id and a name of its own, from number start on.

    With the ids of CATEGORIES by their slugs, the products are in them. The house sells two of three itself.
    """
    for number in range(start, start + count):
        random = Random(f"{seed}:{number}")  # noqa: S311 - made up, not secret
        kind, category, variants, description, cost = KINDS[number % len(KINDS)]
        brand = random.choice(BRANDS)
        model = f"{random.choice('ABCEFGHKLMRSTVX')}{10 + number // len(KINDS)}"
        list_price = cost // 100 * random.randint(80, 125) // 100 * 100
        product = {
            "id": UUID(int=random.getrandbits(128), version=4),
            "name": f"{brand} {kind} {random.choice(variants)} {model}",
            "description": f"{description.format(n=random.randint(2, 60))}. List price {list_price // 100}.00.",
            "brand": brand,
            "rating": round(random.uniform(2.8, 5.0), 1),
        }
        sold = random.random() < 2 / 3
        product |= {"price": list_price * random.randint(85, 108) // 100 if sold else None}
        product |= {"stock": random.randint(0, 40) if sold else 0}
        yield product | ({"category_id": categories[category]} if categories else {})


def kind(number: int) -> str:
    """What the product of that number is."""
    return KINDS[number % len(KINDS)][0]
