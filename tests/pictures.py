"""Pictures: good ones of every kind, and files that are made to hurt whoever takes them for pictures."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, PngImagePlugin

MIB = 2**20
PAGE = b"<!DOCTYPE html><script>alert(document.domain)</script>"
PNG = b"\x89PNG\r\n\x1a\n"
RED, GREEN, BLUE, WHITE = (220, 20, 30), (20, 180, 40), (30, 40, 220), (255, 255, 255)


@cache
def picture(width: int = 24, height: int = 16, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """A picture: red above on the left, green above on the right, blue below."""
    image = Image.new("RGB", (width, height), BLUE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2, height // 2), RED)
    draw.rectangle((width // 2, 0, width, height // 2), GREEN)
    return written(image.convert(mode), kind, **options)


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(file: bytes) -> Image.Image:
    """A file as an image."""
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def corners(image: Image.Image) -> list[str]:
    """What colours there are above on the left and on the right, and below on the right and on the left."""
    pixels, x, y = image.convert("RGB"), image.width // 4, image.height // 4
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}

    def name(at: tuple[int, int]) -> str:
        colour = pixels.getpixel(at)
        return next((n for n, c in names.items() if max(abs(a - b) for a, b in zip(c, colour, strict=True)) < 40), "?")

    right, below = image.width - 1 - x, image.height - 1 - y
    return [name((x, y)), name((right, y)), name((right, below)), name((x, below))]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *parts: bytes, depth: int = 8, colours: int = 2, data: bytes | None = None) -> bytes:
    """A PNG that claims to have that size, whatever it holds."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    content = zlib.compress(b"\0" * 1_000, 9) if data is None else data
    return PNG + header + b"".join(parts) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def _flat_png(side: int) -> bytes:
    """A whole PNG of that many pixels each way, in a few kilobytes."""
    squeeze = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    data = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    return png(side // 8 * 8, side, depth=1, colours=0, data=data)


def _jpeg_that_claims(width: int, height: int) -> bytes:
    file = bytearray(picture(kind="JPEG"))
    at = file.index(b"\xff\xc0") + 5
    file[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(file)


def _webp_that_claims(width: int, height: int) -> bytes:
    canvas = b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = picture(kind="WEBP")[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _animated(kind: str, frames: int) -> bytes:
    first, *others = (Image.new("RGB", (9, 9), (number * 70 % 256, 0, 0)) for number in range(frames))
    return written(first, kind, save_all=True, append_images=others)


def _many_frames() -> bytes:
    frame = struct.pack(">IIIIHHBB", 1, 1, 0, 0, 1, 1, 0, 0)
    data = zlib.compress(b"\0\0\0\0")
    frames = b"".join(
        chunk(b"fcTL", struct.pack(">I", 2 * number) + frame) + chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + data)
        for number in range(10_000)
    )
    start = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    start += chunk(b"acTL", struct.pack(">II", 10_000, 0))
    return start + chunk(b"IDAT", data) + frames + chunk(b"IEND", b"")


def _zip_of(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("picture.png", content)
    return file.getvalue()


def _said(text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text)
    return picture(pnginfo=info)


def with_comment() -> bytes:
    """A good PNG with a page in its comment."""
    return _said(PAGE.decode())


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n%%EOF\n"
# What is no picture of the three kinds: a 415.
NOT_PICTURES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a byte": lambda: b"\xff",
    "a page": lambda: PAGE,
    "a page before a PNG": lambda: PAGE + picture(),
    "SVG": lambda: SVG,
    "SVG with a declaration": lambda: b'<?xml version="1.0"?>' + SVG,
    "EPS": lambda: EPS,
    "PDF": lambda: b"%PDF-1.7\n1 0 obj <</OpenAction <</S /JavaScript /JS (app.alert(1))>> >>\n",
    "GIF": lambda: picture(kind="GIF"),
    "animated GIF": lambda: _animated("GIF", 50),
    "TIFF": lambda: picture(kind="TIFF"),
    "BMP": lambda: picture(kind="BMP"),
    "ICO": lambda: picture(kind="ICO"),
    "PPM": lambda: picture(kind="PPM"),
    "zip": lambda: _zip_of(b"\0" * 50 * MIB),
    "gzip": lambda: b"\x1f\x8b\x08" + b"\0" * 100,
    "ELF": lambda: b"\x7fELF" + b"\0" * 100,
    "PHP": lambda: b"<?php system($_GET['c']); ?>",
    "zeros": lambda: b"\0" * 5 * MIB,
    "RIFF of another kind": lambda: b"RIFF\x04\0\0\0WAVE",
}
# What begins like one of them, and cannot be shown: a 422.
BAD_PICTURES: dict[str, Callable[[], bytes]] = {
    "9000x9000 PNG of 10 KB": lambda: _flat_png(9_000),
    "PNG of 2 thousand million by as many": lambda: png(2**31 - 1, 2**31 - 1),
    "PNG of one row more than may be": lambda: png(5_000, 5_001),
    "PNG of no size": lambda: png(0, 0),
    "JPEG of 65500x65500": lambda: _jpeg_that_claims(65_500, 65_500),
    "JPEG of one column more than may be": lambda: _jpeg_that_claims(5_001, 5_000),
    "WebP of 16383x16383": lambda: _webp_that_claims(16_383, 16_383),
    "APNG of ten thousand frames": _many_frames,
    "APNG": lambda: _animated("PNG", 3),
    "animated WebP": lambda: _animated("WEBP", 3),
    "PNG cut off": lambda: picture(300, 300)[:-20],
    "PNG cut off in the header": lambda: picture()[:20],
    "PNG of its first bytes": lambda: PNG,
    "JPEG cut off": lambda: picture(300, 300, "JPEG")[:-200],
    "JPEG cut off in the header": lambda: picture(kind="JPEG")[:100],
    "JPEG of its first bytes": lambda: b"\xff\xd8\xff",
    "JPEG of markers": lambda: b"\xff\xd8" + b"\xff" * 5_000_000,
    "JPEG of parts of no length": lambda: b"\xff\xd8" + b"\xff\xe0\0\2" * 1_300_000,
    "WebP cut off": lambda: picture(300, 300, "WEBP")[:-10],
    "WebP of its first bytes": lambda: b"RIFF\x04\0\0\0WEBP",
    "PNG with a page behind it": lambda: picture() + PAGE,
    "PNG with a zip behind it": lambda: picture() + _zip_of(b"x"),
    "WebP with a page behind it": lambda: picture(kind="WEBP") + PAGE,
    "PNG of a million parts": lambda: PNG + chunk(b"IHDR", b"\0" * 13) + chunk(b"tEXt", b"") * 400_000,
    "PNG with a text of 60 MB in 60 KB": lambda: png(
        1, 1, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 60 * MIB, 9))
    ),
    "PNG with a profile of 60 MB in 60 KB": lambda: png(
        1, 1, chunk(b"iCCP", b"Profile\0\0" + zlib.compress(b"x" * 60 * MIB, 9))
    ),
    "PNG with a wrong sum": lambda: picture()[:-40] + bytes([picture()[-40] ^ 1]) + picture()[-39:],
}
# Names that no file has; what they name is good.
BAD_NAMES = ["../../x.png", "/etc/passwd", "a\0.png", "a\rb.png", "a/b.png", ".."]
BAD_TYPES = ["image/svg+xml", "text/html", "application/x-php", "image/gif", "application/zip", "x"]
