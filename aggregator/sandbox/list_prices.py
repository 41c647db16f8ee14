"""What a product costs, roughly, as its registration lets guess: so that offers look like those of real shops."""

import re

# "List price 389.00" in a description says it outright.
_LIST_PRICE = re.compile(r"\blist price:? (\d{1,7})\.(\d{2})\b", re.IGNORECASE)
# Of several words in a name the last one says what a thing is: a "coffee machine" is a machine.
_WORDS = """
    bicycle 899, bike 799, laptop 999, notebook 899, phone 599, smartphone 599, tablet 399, camera 649,
    television 699, tv 699, fridge 749, sofa 899, vacuum 349, monitor 299, machine 389, purifier 189, tent 219,
    drill 149, headphones 199, headset 99, speaker 129, reader 159, keyboard 99, mouse 49, watch 199,
    jacket 149, shoes 119, boots 149, backpack 89, bag 59, chair 129, table 249, desk 299, lamp 49, shelf 79,
    bed 399, rug 99, pan 49, pot 39, kettle 45, knife 59, mug 12, cup 10, bottle 22, toaster 49, blender 79,
    iron 59, scale 29, fan 59, heater 79, book 19, game 49, puzzle 19, ball 25, racket 99, helmet 69, cable 12,
    charger 25, battery 19, printer 159, router 89, drive 89
"""
_USUAL = {word: 100 * int(price) for word, price in re.findall(r"(\w+) (\d+)", _WORDS)}


def list_price(name: str, description: str) -> int | None:
    """The price that a description names, or that is usual for what a name says, in minor units; None for neither."""
    if match := _LIST_PRICE.search(description):
        return int(match[1]) * 100 + int(match[2])
    words = reversed(re.findall(r"[a-z]+", name.lower()))
    return next((_USUAL[word] for word in words if word in _USUAL), None)
