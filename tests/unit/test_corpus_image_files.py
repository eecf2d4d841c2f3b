"""Single image files: what becomes of unusual ones, and the size at which any image is kept."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from winnow.corpus.demo_images import PAGE_PIXELS, chart, text_pages
from winnow.corpus.fitting import MAX_RATIO, UnusableError, fitted, fitted_size, png_bytes
from winnow.corpus.image_files import MAX_SOURCE_PIXELS, read_image

RED, WHITE = (255, 0, 0), (255, 255, 255)
SIDE = st.integers(1, 20_000)


def file_of(image, kind="PNG", **more):
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def red(mode, size=(40, 30)):
    return Image.new("RGB", size, RED).convert(mode)


def half_clear(mode="RGBA"):
    image = Image.new("RGBA", (40, 30), (*RED, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 30))
    return image.convert(mode)


def turned():
    """An image that is red on the left, stored lying on its side."""
    image = Image.new("RGB", (40, 30), WHITE)
    image.paste(RED, (0, 0, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    return file_of(image.rotate(90, expand=True), "PNG", exif=exif)


def animated():
    return file_of(red("P"), "GIF", save_all=True, append_images=[Image.new("P", (40, 30))], duration=50)


def palette_with_clear():
    image = half_clear().convert("RGB").quantize(4)
    return file_of(image, "PNG", transparency=image.getpixel((30, 10)))


PLAIN = {
    "RGB": (file_of(red("RGB")), []),
    "grey": (file_of(red("L")), []),
    "JPEG": (file_of(red("RGB"), "JPEG", quality=95), []),
    "CMYK": (file_of(red("CMYK"), "JPEG", quality=95), ["CMYK made RGB"]),
    "palette": (file_of(red("P")), ["P made RGB"]),
    "one bit": (file_of(red("1")), ["1 made RGB"]),
    "alpha": (file_of(half_clear()), ["transparent parts made white"]),
    "grey alpha": (file_of(half_clear("LA")), ["transparent parts made white"]),
    "palette with a clear colour": (palette_with_clear(), ["transparent parts made white"]),
    "EXIF orientation": (turned(), ["turned as its EXIF orientation says"]),
    "animated": (animated(), ["P made RGB", "only the first frame of several"]),
    "WebP": (file_of(red("RGB"), "WEBP", lossless=True), []),
    "TIFF": (file_of(red("RGB"), "TIFF"), []),
    "BMP": (file_of(red("RGB"), "BMP"), []),
}


@pytest.mark.parametrize("name", PLAIN)
def test_every_kind_becomes_rgb_and_what_was_done_is_noted(name):
    data, notes = PLAIN[name]
    image, found = read_image(data)
    assert image.mode == "RGB"
    assert sorted(found) == sorted(notes)
    assert image.size == (40, 30)
    left, right = image.getpixel((10, 15)), image.getpixel((30, 15))
    grey = {"grey": 76, "grey alpha": 76, "one bit": None}
    if name not in grey:
        assert left == pytest.approx(RED, abs=3)
    elif grey[name] is not None:
        assert left == (76, 76, 76)  # 0.299 of 255: how bright red is
    clear = "alpha" in name or "clear" in name or name == "EXIF orientation"
    if clear and name != "palette with a clear colour":
        assert right == WHITE
    assert (right == WHITE) == clear or name == "one bit"


def test_16_bits_keep_their_brightness():
    image = Image.new("I;16", (4, 4))
    image.putdata([0, 256 * 10, 256 * 128, 65535] * 4)
    made, notes = read_image(file_of(image))
    assert [made.getpixel((x, 0))[0] for x in range(4)] == [0, 10, 128, 255]
    assert notes == ["16 bits made 8"]


def png_header(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


NO_KIND = "no image of a known kind (PNG, JPEG, WEBP, GIF, TIFF, BMP, PPM)"
BOMB = f"more than {MAX_SOURCE_PIXELS:,} pixels"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
WRONG = {
    "empty": (b"", "empty file"),
    "text": (b"not an image", NO_KIND),
    "PDF": (b"%PDF-1.7\n", NO_KIND),
    "a program (EPS)": (EPS, NO_KIND),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_KIND),
    "cut short": (file_of(Image.effect_noise((200, 200), 90))[:-3000], "broken image"),
    "JPEG cut short": (file_of(Image.effect_noise((200, 200), 90), "JPEG")[:3000], "broken image"),
    "damaged inside": (file_of(red("RGB"))[:60] + b"\xff" * 40, "broken image"),
    "no width": (png_header(0, 10), None),
    "bomb": (png_header(60_000, 60_000), BOMB),
    "just above the limit": (png_header(10_001, 10_000), BOMB),
    "32-bit floats": (file_of(Image.new("F", (9, 9), 0.5), "TIFF"), "pixels of 32 bits, whose range is not known"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_file_is_a_reason(name):
    data, reason = WRONG[name]
    with pytest.raises(UnusableError) as caught:
        read_image(data)
    assert caught.value.reason in ({reason} if reason else {"broken image", "no area", NO_KIND})


@given(SIDE, SIDE, st.integers(196, 10**6), st.integers(1, 196), st.booleans())
def test_a_size_keeps_the_budget_and_the_shape(width, height, most, least, enlarge):
    if max(width, height) > MAX_RATIO * min(width, height):
        with pytest.raises(UnusableError):
            fitted_size(width, height, max_pixels=most, min_pixels=least, enlarge=enlarge)
        return
    size = fitted_size(width, height, max_pixels=most, min_pixels=least, enlarge=enlarge)
    assert min(size) >= 1
    assert size[0] * size[1] <= most
    if least <= width * height <= most and not enlarge:
        assert size == (width, height)
    if width * height < least and not enlarge and least < most / 2:
        assert size[0] * size[1] >= least
    if min(size) > 1:  # each side within a pixel of the true shape
        scale = max(size[0] / width, size[1] / height)
        assert abs(size[0] - width * scale) < 1 + 1e-6 or abs(size[1] - height * scale) < 1 + 1e-6
        assert abs(size[0] / scale - width) * scale <= 1 + max(size) / min(size)
    again = fitted_size(*size, max_pixels=most, min_pixels=min(least, size[0] * size[1]), enlarge=False)
    assert again == size


@pytest.mark.parametrize(("width", "height"), [(0, 5), (-1, 5), (float("nan"), 5), (float("inf"), 5)])
def test_no_area_is_a_reason(width, height):
    with pytest.raises(UnusableError, match="no area"):
        fitted_size(width, height, max_pixels=1000, min_pixels=1, enlarge=True)


def test_an_image_within_the_budget_is_not_touched_and_equal_pixels_give_equal_bytes():
    image, _ = read_image(file_of(Image.effect_noise((300, 200), 90)))
    assert fitted(image, max_pixels=60_000, min_pixels=196) is image
    stamped = image.copy()
    stamped.info = {"dpi": (300, 300), "Software": "some scanner", "icc_profile": b"x" * 99}
    assert png_bytes(stamped) == png_bytes(image)
    with Image.open(io.BytesIO(png_bytes(image))) as back:
        assert back.tobytes() == image.tobytes()
        assert not back.info
    assert fitted(image, max_pixels=59_999, min_pixels=196).size == (299, 199)
    assert fitted(red("RGB", (4, 3)), max_pixels=9999, min_pixels=1200).size == (40, 30)


def test_synthetic_images_are_the_same_every_time_and_differ_between_prompts():
    one, two = [list(text_pages("A title\n\n" + " ".join(map(str, range(2000))), 3)) for _ in range(2)]
    assert [page.tobytes() for page in one] == [page.tobytes() for page in two]
    assert len(one) == 3
    assert {page.size for page in one} == {PAGE_PIXELS}
    assert len({page.tobytes() for page in one}) == 3
    assert all(side % 28 == 0 for side in (*PAGE_PIXELS, *chart("p1").size))
    assert chart("p1").tobytes() == chart("p1").tobytes() != chart("p2").tobytes()
