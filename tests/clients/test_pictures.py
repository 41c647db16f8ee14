"""Pictures: which will do, and what is made of them."""

import subprocess
import sys
import time
import tracemalloc

import pytest
from PIL import Image, ImageCms

from aggregator.clients.pictures import (
    ANIMATED,
    TOO_LARGE,
    UNREADABLE,
    BadPicture,
    UnknownPicture,
    check,
    sizes,
)
from tests.pictures import BAD_PICTURES, BLUE, NOT_PICTURES, PAGE, corners, picture, read, with_comment, written

# How many files of a folder will not do, and how many KiB more it took at most to see that, after those that will do.
CHECK_ALL = """
import re, sys
from pathlib import Path
from aggregator.clients.pictures import BadPicture, UnknownPicture, check

def peak():
    return int(re.search("VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])

refused, before = 0, 0
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        check(file.read_bytes())
        before = peak()
    except (BadPicture, UnknownPicture):
        refused += 1
print(refused, peak() - before)
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process the most memory it had")
RIGHT_WAY_UP = ["red", "green", "blue", "blue"]
ORIENTATION, GPS = 0x0112, 0x8825


class TestCheck:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_a_picture_of_the_three_kinds_will_do(self, kind):
        check(picture(300, 200, kind))

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_what_it_says_of_itself_makes_no_difference(self, kind):
        check(picture(300, 200, kind, exif=exif(6, GPS=1)))

    def test_as_many_pixels_as_may_be_will_do(self):
        check(picture(5_000, 5_000, "PNG", "1"))

    def test_a_jpeg_may_have_something_behind_it_as_telephones_have_it(self):
        check(picture(kind="JPEG") + b"\0" * 100 + PAGE)

    def test_a_jpeg_of_several_pictures_will_do(self):
        check(several_in_one())

    def test_a_progressive_jpeg_will_do(self):
        check(picture(300, 200, "JPEG", progressive=True))

    @pytest.mark.parametrize("name", NOT_PICTURES)
    def test_what_is_no_picture_is_told_to_be_unknown(self, name):
        with pytest.raises(UnknownPicture):
            check(NOT_PICTURES[name]())

    @pytest.mark.parametrize("name", BAD_PICTURES)
    def test_what_cannot_be_shown_is_refused_in_no_time_and_no_memory(self, name):
        file = BAD_PICTURES[name]()
        begun = time.process_time()  # others have this machine, too
        with pytest.raises(BadPicture) as refusal:
            check(file)
        took = time.process_time() - begun

        tracemalloc.start()
        with pytest.raises(BadPicture):
            check(file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert str(refusal.value) in (TOO_LARGE, ANIMATED, UNREADABLE)
        assert took < 0.5
        assert peak < 16 * 2**20

    @on_linux
    def test_what_hurts_takes_no_memory_that_python_does_not_see_either(self, tmp_path):
        files = [picture(300, 200, kind) for kind in ("PNG", "JPEG", "WEBP")]
        files += [make() for make in (*NOT_PICTURES.values(), *BAD_PICTURES.values())]
        for number, file in enumerate(files):
            (tmp_path / f"{number:02}").write_bytes(file)

        command = [sys.executable, "-c", CHECK_ALL, str(tmp_path)]
        refused, more = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())

        assert refused == len(files) - 3
        assert more < 64 * 1024

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("9000x9000 PNG of 10 KB", TOO_LARGE),
            ("JPEG of one column more than may be", TOO_LARGE),
            ("WebP of 16383x16383", TOO_LARGE),
            ("APNG of ten thousand frames", ANIMATED),
            ("animated WebP", ANIMATED),
            ("PNG cut off", UNREADABLE),
        ],
    )
    def test_says_why(self, name, reason):
        with pytest.raises(BadPicture, match=f"^{reason}$"):
            check(BAD_PICTURES[name]())


class TestSizes:
    @pytest.mark.parametrize(
        ("size", "thumb", "full"),
        [
            ((1000, 1000), (100, 100), (500, 500)),
            ((1200, 800), (100, 67), (500, 333)),
            ((800, 1200), (67, 100), (333, 500)),
            ((501, 10), (100, 2), (500, 10)),
            ((4000, 1), (100, 1), (500, 1)),
            ((300, 200), (100, 67), (300, 200)),
            ((100, 100), (100, 100), (100, 100)),
            ((40, 30), (40, 30), (40, 30)),
            ((1, 1), (1, 1), (1, 1)),
        ],
    )
    def test_fit_keep_their_shape_and_are_never_larger_than_the_picture(self, size, thumb, full):
        made = [read(file) for file in sizes(picture(*size))]

        assert [image.size for image in made] == [thumb, full]
        assert [image.format for image in made] == ["WEBP", "WEBP"]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_look_like_the_picture(self, kind):
        for file in sizes(picture(800, 600, kind)):
            assert corners(read(file)) == RIGHT_WAY_UP

    @pytest.mark.parametrize(
        ("kind", "mode", "options"),
        [
            ("PNG", "1", {}),
            ("PNG", "L", {}),
            ("PNG", "LA", {}),
            ("PNG", "P", {}),
            ("PNG", "RGBA", {}),
            ("JPEG", "L", {}),
            ("JPEG", "CMYK", {}),
            ("JPEG", "YCbCr", {"progressive": True}),
            ("WEBP", "RGBA", {"lossless": True}),
        ],
    )
    def test_are_made_of_every_kind_of_colours(self, kind, mode, options):
        thumb, full = (read(file) for file in sizes(picture(600, 400, kind, mode, **options)))

        assert (thumb.size, full.size) == ((100, 67), (500, 333))
        if mode in ("P", "RGBA", "CMYK", "YCbCr"):
            assert corners(full) == RIGHT_WAY_UP

    def test_of_sixteen_bits_of_grey_show_all_greys(self):
        grey = Image.new("I;16", (256, 1))
        grey.putdata([value * 257 for value in range(256)])

        _, full = sizes(written(grey.resize((256, 40), Image.Resampling.NEAREST), "PNG"))

        found = [read(full).convert("L").getpixel((x, 20)) for x in range(0, 256, 16)]
        assert max(abs(value - x) for value, x in zip(found, range(0, 256, 16), strict=True)) < 12

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_keep_what_can_be_seen_through(self, mode):
        image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
        image.paste((*BLUE, 255), (0, 0, 200, 400))
        options = {}
        if mode == "P":
            image, options = image.convert("RGB").quantize(4), {"transparency": 0}

        _, full = sizes(written(image.convert(mode), "PNG", **options))

        assert {value for _, value in read(full).getchannel("A").getcolors()} >= {0, 255}

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_are_the_right_way_up_however_the_camera_was_held(self, orientation):
        upright = read(picture(800, 400))
        turn = {
            1: None,
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
        held = upright if turn is None else upright.transpose(turn)

        thumb, full = (read(file) for file in sizes(written(held, "JPEG", exif=exif(orientation))))

        assert (thumb.size, full.size) == ((100, 50), (500, 250))
        assert corners(full) == corners(thumb) == RIGHT_WAY_UP

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_hold_nothing_but_what_is_seen(self, kind):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options = {"exif": exif(1, GPS=1), "icc_profile": profile}
        options |= {"xmp": b"<x:xmpmeta>canary</x:xmpmeta>"} if kind != "PNG" else {}
        original = picture(300, 200, kind, **options)
        assert b"canary" in original

        for file in sizes(original):
            assert read(file).info.keys() <= {"loop", "background", "timestamp", "duration"}
            assert b"canary" not in file
            for part in (b"EXIF", b"ICCP", b"XMP "):
                assert part not in file

    @pytest.mark.parametrize("make", [with_comment, lambda: picture(kind="JPEG") + PAGE], ids=["comment", "behind"])
    def test_hold_no_page_that_was_in_a_comment_or_behind_the_picture(self, make):
        original = make()
        check(original)

        assert PAGE in original
        assert [file for file in sizes(original) if b"script" in file] == []

    def test_of_several_pictures_in_a_jpeg_show_the_first(self):
        _, full = sizes(several_in_one())

        assert corners(read(full)) == RIGHT_WAY_UP

    def test_are_the_same_for_the_same_picture(self):
        assert sizes(picture(600, 400)) == sizes(picture(600, 400))

    def test_a_picture_with_a_broken_profile_is_shown_as_it_is(self):
        _, full = sizes(picture(600, 400, "PNG", icc_profile=b"no profile at all" * 20))

        assert corners(read(full)) == RIGHT_WAY_UP

    def test_colours_of_another_space_become_those_that_are_meant(self):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for old, new in ((b"rXYZ", b"????"), (b"gXYZ", b"rXYZ"), (b"????", b"gXYZ")):
            profile = profile.replace(old, new)  # in it, red is green

        _, full = sizes(picture(300, 200, "PNG", icc_profile=profile))

        red, green, _ = read(full).convert("RGB").getpixel((10, 10))
        assert green > 150 > 100 > red


def test_nothing_but_this_uses_pillow():
    program = "import sys, aggregator.models, aggregator.services.images; print('PIL' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"


def exif(orientation: int, **others: int) -> bytes:
    """What a camera says of a picture, and where it was taken."""
    said = Image.Exif()
    said[ORIENTATION] = orientation
    said[0x010E] = "canary"
    if "GPS" in others:
        said[GPS] = {1: "N", 2: (50.0, 5.0, 0.0)}
    return said.tobytes()


def several_in_one() -> bytes:
    """A JPEG as telephones make them: the picture, and another one for those who know."""
    other = Image.new("RGB", (300, 200), (255, 255, 255))
    return written(read(picture(600, 400)), "MPO", save_all=True, append_images=[other])
