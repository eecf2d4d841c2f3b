"""Small PDFs written by hand, whole and damaged, so that a test knows what is on each page."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import NamedTuple

LETTER = "0 0 612 792"
# PDF 32000-1, 7.6.3.3: what a short password is filled up with.
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


class Placed(NamedTuple):
    """A picture on a page: its lower left corner and its size in points, and the seed of its pixels."""

    left: int
    bottom: int
    width: int
    height: int
    seed: int = 1
    form: bool = False  # a vector graphic with the picture in it, as LaTeX embeds one


class Line(NamedTuple):
    """A line of text: how far up on the page, and the words."""

    up: int
    text: str


def assemble(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Return a PDF of numbered objects, the first of which is the catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)


def _stream(dictionary: bytes, data: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (dictionary, len(data), data)


def picture(seed: int, width: int = 400, height: int = 300) -> bytes:
    """Return an image object of grey stripes that depend on the seed; none of it is white."""
    pixels = bytes((seed * 37 + (x // 20 + y // 20) * (17 + seed)) % 200 for y in range(height) for x in range(width))
    head = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode"
    return _stream(b"%s/Width %d/Height %d" % (head, width, height), zlib.compress(pixels))


def pdf(
    pages: Sequence[Sequence[Placed | Line]] = ((),),
    *,
    box: str = LETTER,
    strokes: int = 0,
    page_keys: str = "",
    trailer: bytes = b"",
) -> bytes:
    """Return a PDF.

    Args:
        pages: what is on each.
        box: of every page, in points.
        strokes: straight lines that each page draws itself.
        page_keys: further keys of every page.
        trailer: further keys of the trailer.
    """
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    objects: list[bytes] = [b"<</Type/Catalog/Pages 2 0 R>>", b"", font]
    kids = []
    for things in pages:
        resources, content = b"", b"".join(b"%d 10 m %d 60 l S " % (20 + n, 20 + n) for n in range(strokes))
        for thing in things:
            if isinstance(thing, Line):
                text = thing.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").encode()
                content += b"BT /F 12 Tf 72 %d Td (%s) Tj ET " % (thing.up, text)
                continue
            objects.append(picture(thing.seed))
            place = b"q %d 0 0 %d %d %d cm /X Do Q" % (thing.width, thing.height, thing.left, thing.bottom)
            number = len(objects)
            if thing.form:
                inner = b"/Type/XObject/Subtype/Form/BBox[0 0 9999 9999]/Resources<</XObject<</X %d 0 R>>>>" % number
                objects.append(_stream(inner, place))
                number, place = len(objects), b"/X Do"
            resources += b"/N%d %d 0 R" % (number, number)
            content += place.replace(b"/X", b"/N%d" % number) + b" "
        objects.append(_stream(b"", content))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[%s]%s/Contents %d 0 R/Resources<</Font<</F 3 0 R>>/XObject<<%s>>>>>>"
            % (box.encode(), page_keys.encode(), len(objects), resources)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    return assemble(objects, trailer)


def locked_pdf(password: bytes = b"secret") -> bytes:
    """Return a PDF that opens with a password only (standard handler, revision 2)."""

    def rc4(key: bytes, data: bytes) -> bytes:
        state, j = list(range(256)), 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) % 256
            state[i], state[j] = state[j], state[i]
        out, i, j = bytearray(), 0, 0
        for byte in data:
            i = (i + 1) % 256
            j = (j + state[i]) % 256
            state[i], state[j] = state[j], state[i]
            out.append(byte ^ state[(state[i] + state[j]) % 256])
        return bytes(out)

    padded = (password + _PADDING)[:32]
    owner = rc4(hashlib.md5(padded).digest()[:5], padded)
    rights, identity = b"\xfc\xff\xff\xff", b"0123456789abcdef"
    user = rc4(hashlib.md5(padded + owner + rights + identity).digest()[:5], _PADDING)
    encrypt = b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (owner.hex().encode(), user.hex().encode())
    name = identity.hex().encode()
    return pdf(trailer=b"/Encrypt %s/ID[<%s><%s>]" % (encrypt, name, name))
