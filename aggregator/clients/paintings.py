"""Pictures of things that are made up: for each kind of sample product a simple shape, on two colours that flow."""

from io import BytesIO
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

SIDE = 500
FINE = 2  # shapes are drawn larger, so that their edges are smooth afterwards
GRID = 100  # units that a shape is described in
WHITE, PALE, GONE = 255, 90, 0  # how much of a part is there
SHADE = (30, 30, 50)
SHADOW = 0.35

# A part of a shape: a box with round corners, a disc in a box, a polygon or a line, how much of it is there, and where.
Part = tuple[str, int, tuple[int, ...]]


def _keys() -> tuple[Part, ...]:
    return tuple(("box", PALE, (18 + 8 * x, 40 + 9 * y, 24 + 8 * x, 46 + 9 * y)) for x in range(8) for y in range(3))


def _stripes(left: int, right: int, *tops: int) -> tuple[Part, ...]:
    return tuple(("box", PALE, (left, top, right, top + 3)) for top in tops)


def _wheels(*lefts: int) -> tuple[Part, ...]:
    outer = tuple[Part, ...](("disc", WHITE, (left, 46, left + 32, 78)) for left in lefts)
    return outer + tuple[Part, ...](("disc", GONE, (left + 4, 50, left + 28, 74)) for left in lefts)


SHAPES: dict[str, tuple[Part, ...]] = {
    "Espresso machine": (
        *(("box", WHITE, (26, 20, 74, 36)), ("box", WHITE, (26, 20, 42, 80)), ("box", WHITE, (26, 72, 74, 80))),
        *(("box", WHITE, (53, 36, 63, 42)), ("box", PALE, (51, 58, 65, 71)), ("disc", PALE, (60, 24, 68, 32))),
    ),
    "Running shoes": (
        ("polygon", WHITE, (16, 62, 17, 34, 30, 42, 44, 32, 60, 50, 80, 55, 86, 62)),
        *(("box", WHITE, (14, 62, 88, 72)), ("box", PALE, (14, 66, 88, 72))),
        *(("line", PALE, (42, 47, 50, 39)), ("line", PALE, (49, 52, 57, 45))),
    ),
    "Noise-cancelling headphones": (
        *(("disc", WHITE, (22, 20, 78, 84)), ("disc", GONE, (29, 27, 71, 90)), ("box", GONE, (10, 56, 90, 95))),
        *(("box", WHITE, (18, 50, 34, 80)), ("box", WHITE, (66, 50, 82, 80))),
        *(("box", PALE, (30, 54, 34, 76)), ("box", PALE, (66, 54, 70, 76))),
    ),
    "Mechanical keyboard": (("box", WHITE, (13, 35, 87, 69)), *_keys()),
    "Camping tent": (
        *(("polygon", WHITE, (50, 22, 88, 76, 12, 76)), ("polygon", PALE, (50, 42, 64, 76, 36, 76))),
        ("line", WHITE, (50, 22, 53, 16)),
    ),
    "Cordless drill": (
        *(("box", WHITE, (20, 30, 64, 50)), ("box", WHITE, (64, 34, 74, 46)), ("line", WHITE, (74, 40, 88, 40))),
        *(("polygon", WHITE, (30, 48, 48, 48, 44, 74, 28, 74)), ("box", WHITE, (22, 70, 54, 82))),
        *(("box", PALE, (26, 35, 44, 38)), ("box", PALE, (26, 42, 44, 45))),
    ),
    "4K monitor": (
        *(("box", WHITE, (14, 22, 86, 68)), ("box", PALE, (18, 26, 82, 64))),
        *(("box", WHITE, (45, 66, 55, 78)), ("box", WHITE, (33, 76, 67, 81))),
    ),
    "Robot vacuum": (
        *(("disc", WHITE, (20, 20, 80, 80)), ("disc", PALE, (27, 27, 73, 73)), ("disc", WHITE, (30, 30, 70, 70))),
        *(("disc", PALE, (44, 36, 56, 48)), ("line", PALE, (42, 60, 58, 60))),
    ),
    "Cast-iron pan": (
        *(("box", WHITE, (56, 45, 92, 55)), ("disc", WHITE, (14, 25, 64, 75)), ("disc", PALE, (20, 31, 58, 69))),
        ("disc", PALE, (84, 47, 89, 53)),
    ),
    "City bicycle": (
        *_wheels(10, 58),
        *(("line", WHITE, (26, 62, 39, 40, 66, 40, 48, 62, 26, 62)), ("line", WHITE, (48, 62, 37, 34))),
        *(("line", WHITE, (74, 62, 64, 32, 72, 29)), ("line", WHITE, (31, 34, 43, 34))),
    ),
    "E-book reader": (
        *(("box", WHITE, (28, 14, 72, 86)), ("box", PALE, (33, 20, 67, 74)), ("disc", PALE, (47, 77, 53, 83))),
        *(("line", WHITE, (39, y, 61, y)) for y in (30, 39, 48)),
        ("line", WHITE, (39, 57, 52, 57)),
    ),
    "Air purifier": (
        *(("box", WHITE, (31, 16, 69, 84)), ("disc", PALE, (41, 22, 59, 40))),
        *_stripes(39, 61, 49, 56, 63, 70),
    ),
}


def painted(kind: str, random: Random) -> bytes:
    """A picture of a product of a kind, as a JPEG; the same for the same randomness."""
    hue = random.randrange(360)
    turn = random.choice((-1, 1)) * random.randint(35, 65)
    image = _flow(ImageColor.getrgb(f"hsl({hue}, 62%, 74%)"), ImageColor.getrgb(f"hsl({(hue + turn) % 360}, 58%, 52%)"))
    shape = _mask(SHAPES[kind])
    image.paste(SHADE, mask=_shadow(shape))
    image.paste("white", mask=shape)
    written = BytesIO()
    image.save(written, "JPEG", quality=90)
    return written.getvalue()


def _flow(first: tuple[int, ...], last: tuple[int, ...]) -> Image.Image:
    """One colour above on the left that becomes another one below on the right."""
    between = tuple((a + b) // 2 for a, b in zip(first, last, strict=True))
    corners = Image.new("RGB", (2, 2))
    corners.putdata([first, between, between, last])
    return corners.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))


def _shadow(shape: Image.Image) -> Image.Image:
    """A soft one; it is made small, which nobody sees and is five times as quick."""
    small = ImageChops.offset(shape.reduce(4), 1, 2).filter(ImageFilter.GaussianBlur(2))
    return small.resize(shape.size, Image.Resampling.BILINEAR).point(lambda value: value * SHADOW)


def _mask(parts: tuple[Part, ...]) -> Image.Image:
    """Where a shape is, and how much of it."""
    unit = SIDE * FINE // GRID
    mask = Image.new("L", (SIDE * FINE, SIDE * FINE))
    draw = ImageDraw.Draw(mask)
    for form, there, numbers in parts:
        where = [number * unit for number in numbers]
        if form == "box":
            draw.rounded_rectangle(where, 2 * unit, fill=there)
        elif form == "disc":
            draw.ellipse(where, fill=there)
        elif form == "polygon":
            draw.polygon(where, fill=there)
        else:
            draw.line(where, fill=there, width=3 * unit, joint="curve")
    return mask.reduce(FINE)
