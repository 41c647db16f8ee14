"""Pictures that strangers made: whether one will do, and the sizes that are shown of it.

Nobody else uses Pillow, but for clients/paintings.py, which reads no picture.

To look at one costs next to nothing, whatever it claims to be. To decode one may cost hundreds of megabytes and, if it
is made to hurt, any amount of time: `python -m aggregator.clients.pictures` does so, for clients/picture_maker.py.
"""

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from zlib import crc32

from PIL import Image, ImageCms, ImageOps

MAX_PIXELS = 25_000_000
THUMB, FULL = (100, 100), (500, 500)
QUALITY = 85
MAX_PARTS = 25_000  # of a file; those that programs write have some hundreds
UNREADABLE = "It cannot be read: it is damaged or incomplete."
TOO_LARGE = f"It has more than {MAX_PIXELS // 10**6} million pixels."
ANIMATED = "It is animated."
TOO_MUCH_MEMORY = "It takes too much memory."
EX_DATAERR = 65
MAX_MEMORY = 1024**3  # addresses, of which a picture of 25 million pixels fills about half
MAX_CPU_SECONDS = 60

# Between the limit and twice the limit Pillow only warns.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnknownPicture(ValueError):
    """What is no JPEG, PNG or WebP."""


class BadPicture(ValueError):
    """What is one, and cannot be shown all the same."""


def check(data: bytes) -> None:
    """Refuse what is no picture, or none that can be shown, as far as can be seen without decoding it.

    What it is called and said to be makes no difference, only what it is.
    """
    is_whole = _kind(data)
    try:
        if not is_whole(data):
            raise BadPicture(UNREADABLE)
        _open(data)
    except BadPicture:
        raise
    except Exception:  # of the dozen kinds that a header made with care can raise
        raise BadPicture(UNREADABLE) from None


def sizes(data: bytes) -> tuple[bytes, bytes]:
    """A picture fitting 100x100 and one fitting 500x500, as WebP, with nothing of the original but what is seen."""
    image = _open(data)
    image = _plain(image)
    image.thumbnail(FULL, Image.Resampling.LANCZOS)  # of a JPEG, it decodes no more than that takes
    full = _bare(_in_srgb(ImageOps.exif_transpose(image)))
    thumb = full.copy()
    thumb.thumbnail(THUMB, Image.Resampling.LANCZOS)
    return _webp(thumb), _webp(full)


def _kind(data: bytes) -> Callable[[bytes], bool]:
    """How to see whether such a file is whole."""
    if data.startswith(b"\xff\xd8\xff"):
        return _is_whole_jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _is_whole_png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _is_whole_webp
    raise UnknownPicture


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether it has an end after its beginning; cameras put much behind that, and thumbnails have ends, too."""
    position = 2
    for _ in range(MAX_PARTS):
        if data[position : position + 1] != b"\xff":
            return False
        marker = data[position + 1 : position + 2]
        position += 1 if marker == b"\xff" else 2 + int.from_bytes(data[position + 2 : position + 4])
        if marker == b"\xda":  # what follows is the picture itself
            return b"\xff\xd9" in data[position:]
    return False


def _is_whole_png(data: bytes) -> bool:
    """Whether all of its parts are there and as they were written, and nothing is behind them."""
    position = 8
    for _ in range(MAX_PARTS):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if data[end : end + 4] != crc32(data[position + 4 : end]).to_bytes(4):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return end + 4 == len(data)
        position = end + 4
    return False


def _is_whole_webp(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 == len(data)


def _open(data: bytes) -> Image.Image:
    """The picture, of which only the header is read. Pillow knows many more formats, some of which run programs."""
    try:
        image = Image.open(BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(TOO_LARGE) from None
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture(TOO_LARGE)
    # A JPEG of several pictures is what telephones make, and the first one is the one that was taken.
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise BadPicture(ANIMATED)
    return image


def _plain(image: Image.Image) -> Image.Image:
    """A picture that can be made smaller well: of colours and not of numbers of colours, with eight bits for each."""
    if image.mode.startswith("I"):  # sixteen bits of grey, of which only the upper half fits
        grey = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
        grey.info = image.info
        return grey
    if image.mode in ("1", "P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _in_srgb(image: Image.Image) -> Image.Image:
    """The picture in the colours that are meant where nothing says which; its own description of them is lost."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        with suppress(Exception):  # a profile that cannot be read
            mode = "RGBA" if image.mode == "RGBA" else "RGB"
            source, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            if converted := ImageCms.profileToProfile(image, source, srgb, outputMode=mode):
                image = converted
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _bare(image: Image.Image) -> Image.Image:
    """The same picture without all that came with it: where it was taken, and by whom."""
    return Image.frombytes(image.mode, image.size, image.tobytes())


def _webp(image: Image.Image) -> bytes:
    written = BytesIO()
    image.save(written, "WEBP", quality=QUALITY, method=4)
    return written.getvalue()


def main() -> int:
    """Make the sizes of what comes by stdin: the length of the first in four bytes and both by stdout, or why not."""
    _limit_resources()
    try:
        thumb, full = sizes(sys.stdin.buffer.read())
    except MemoryError:
        return _refuse(TOO_MUCH_MEMORY)
    except BadPicture as error:
        return _refuse(str(error))
    except Exception:
        return _refuse(UNREADABLE)
    sys.stdout.buffer.write(len(thumb).to_bytes(4) + thumb + full)
    return 0


def _refuse(reason: str) -> int:
    sys.stdout.write(reason)
    return EX_DATAERR


def _limit_resources() -> None:
    """Be no trouble to others, as far as the system lets us."""
    with suppress(ImportError, OSError, ValueError):
        import os
        import resource

        os.nice(10)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


if __name__ == "__main__":
    sys.exit(main())
