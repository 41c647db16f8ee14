"""A plausible catalogue to try things with: the same seed gives the same products."""

from collections.abc import Iterator
from random import Random
from uuid import UUID

# What it is, how it differs, what can be said of it.
KINDS = [
    ("Espresso machine", ["Duo", "Classic", "Compact"], "15 bar pump, steam wand, {n} l water tank"),
    ("Running shoes", ["Trail", "Road", "Race"], "Breathable upper, {n} mm drop, recycled foam"),
    ("Noise-cancelling headphones", ["Studio", "Travel", "Air"], "{n} hours of battery, folds flat"),
    ("Mechanical keyboard", ["TKL", "Full", "Mini"], "Hot-swappable switches, {n} g actuation force"),
    ("Camping tent", ["Ridge", "Dome", "Tunnel"], "For {n} people, 3000 mm water column"),
    ("Cordless drill", ["Pro", "Home", "Impact"], "18 V, {n} Nm of torque, two batteries"),
    ("4K monitor", ["Office", "Studio", "Curved"], "{n} inches, USB-C with 90 W"),
    ("Robot vacuum", ["Silent", "Max", "Pet"], "Maps {n} rooms, empties itself"),
    ("Cast-iron pan", ["Grill", "Skillet", "Wok"], "Pre-seasoned, {n} cm, for every hob"),
    ("City bicycle", ["Step", "Diamond", "Cargo"], "{n} gears, belt drive, hub dynamo"),
    ("E-book reader", ["Light", "Note", "Water"], "{n} GB, warm front light"),
    ("Air purifier", ["Room", "Loft", "Desk"], "HEPA 13, for {n} square metres"),
]
BRANDS = ["Aurelo", "Brennholt", "Castera", "Dunmore", "Evolta", "Fjellvik", "Granato", "Hexley"]


def products(count: int, seed: int = 1, start: int = 0) -> Iterator[dict[str, object]]:
    """Yield the fields of count products, each with an id and a name of its own, from number start on."""
    for number in range(start, start + count):
        random = Random(f"{seed}:{number}")  # noqa: S311 - made up, not secret
        kind, variants, description = KINDS[number % len(KINDS)]
        brand = random.choice(BRANDS)
        model = f"{random.choice('ABCEFGHKLMRSTVX')}{10 + number // len(KINDS)}"
        yield {
            "id": UUID(int=random.getrandbits(128), version=4),
            "name": f"{brand} {kind} {random.choice(variants)} {model}",
            "description": description.format(n=random.randint(2, 60)) + ".",
            "brand": brand,
            "rating": round(random.uniform(2.8, 5.0), 1),
        }
