"""Images that take more work or memory than their bytes let expect, or that the model does not read."""

from __future__ import annotations

import struct
import zlib

from tests.serving.conftest import encoded, noise
from tests.serving.hostile.attack import Attack, images

MEBIBYTE = 2**20
GREY, RGB, WITH_ALPHA = 0, 2, 6


def zeros(mebibytes: int) -> bytes:
    """A zlib stream of a kilobyte for each mebibyte that it inflates to; without its checksum."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (mebibytes - 1)


def unpacked(mebibytes: int) -> bytes:
    """The rest of a zlib stream, which is as long as what it inflates to; without its checksum."""
    packer = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(bytes(mebibytes * MEBIBYTE)) + packer.flush()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    *chunks: bytes,
    size: tuple[int, int] = (10, 10),
    depth: int = 8,
    color: int = GREY,
    interlaced: bool = False,
) -> bytes:
    """A PNG that claims a width and a height, with chunks that need not fit."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


PROGRESSIVE = encoded(noise(50, 70), "JPEG", progressive=True)
SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]


def scans(count: int) -> bytes:
    """A progressive JPEG of so many further scans."""
    return PROGRESSIVE[:-2] + SCAN * count + b"\xff\xd9"


def sized(jpeg: bytes, height: int, width: int) -> bytes:
    """A progressive JPEG that claims another size."""
    at = jpeg.index(b"\xff\xc2") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


GIGABYTES = zeros(2048)  # 2 MB
SOME = chunk(b"IDAT", zeros(1))
DAMAGED = "a PNG of 10 x 10 pixels holds more image data than these: damaged"
TEXTS = "the texts of a PNG have more than 8 MiB: remove them"
# What no header promises. name: file, sentence
WORK: dict[str, tuple[bytes, str]] = {
    "PNG of 10 x 10 pixels whose image data inflate to 2 GiB": (png(chunk(b"IDAT", GIGABYTES)), DAMAGED),
    "the same, of 16 bits": (png(chunk(b"IDAT", GIGABYTES), depth=16), DAMAGED),
    "the same, interlaced": (png(chunk(b"IDAT", GIGABYTES), interlaced=True), DAMAGED),
    "the same, in 20,000 parts": (
        png(*(chunk(b"IDAT", GIGABYTES[i : i + 100]) for i in range(0, 2_000_000, 100))), DAMAGED,
    ),
    "PNG with a compressed text of 2 GiB": (png(chunk(b"zTXt", b"xmp\0\0" + GIGABYTES)), TEXTS),
    "PNG with 1,000 compressed texts": (png(*[chunk(b"zTXt", b"xmp\0\0" + zeros(1))] * 1000), TEXTS),
    "PNG with a color profile of 2 GiB": (png(chunk(b"iCCP", b"x\0\0" + GIGABYTES)), TEXTS),
    "PNG with an international text of 2 GiB": (png(chunk(b"iTXt", b"x\0\1\0en\0\0" + GIGABYTES)), TEXTS),
    "PNG of 100,001 text chunks": (png(*[chunk(b"tEXt", b"")] * 100_001), "a PNG of too many chunks"),
    "5 PNG files in one value": (png(SOME) * 5, "5 PNG files in one value; at most 4 are accepted"),
    "PNG of 0 x 268,435,456 pixels whose image data inflate to 256 MiB": (
        png(chunk(b"IDAT", zeros(256)), size=(0, 2**28)), "a PNG of 0 x 268435456 pixels holds more image",
    ),
    "PNG of 255 bits for each value, with the image data for them": (
        png(chunk(b"IDAT", zeros(32)), size=(1000, 1000), depth=255),
        "a PNG of 1000 x 1000 pixels holds more",
    ),
    "progressive JPEG of 5,000 scans": (scans(5000), "a JPEG of more than 100 scans: save it again"),
    "the same, each scan behind a marker that has no length": (
        PROGRESSIVE[:-2] + (b"\xff\x01" + SCAN) * 5000 + b"\xff\xd9",
        "a JPEG of more than 100 scans: save it again",
    ),
    "progressive JPEG of 85 scans over 12 megapixels": (
        sized(scans(85), 3500, 3500), "a JPEG of more than 20 scans over 12250000 pixels: save it again",
    ),
}  # fmt: skip
_PIXELS = "million pixels; at most 64 million are accepted"
_READ = "accepted are PNG"
# What a header claims, or what no decoder of the model reads. name: files, sentence
CLAIMS: dict[str, tuple[tuple[bytes, ...], str]] = {
    "PNG of a kilobyte that claims 60,000 x 60,000 pixels": ((png(SOME, size=(60000, 60000)),), _PIXELS),
    "the same, of 16 bits, RGB, interlaced": (
        (png(SOME, size=(60000, 60000), depth=16, color=RGB, interlaced=True),), _PIXELS,
    ),
    "PNG that claims 4,294,967,295 pixels a side": ((png(SOME, size=(2**32 - 1, 2**32 - 1)),), _PIXELS),
    "PNG that claims 0 x 0 pixels": ((png(SOME, size=(0, 0)),), "Invalid PNG. Failed to initialize decoder."),
    "three PNG files that claim 25 megapixels each": ((png(SOME, size=(5000, 5000)),) * 3, _PIXELS),
    "PNG of 16 bits, RGB, interlaced, that claims 64 megapixels and holds almost none": (
        (png(SOME, size=(8000, 8000), depth=16, color=RGB, interlaced=True),), "Invalid PNG data",
    ),
    "the same, of which 100 MiB of zeros are there, and 20 MiB that cannot be packed": (
        (png(chunk(b"IDAT", zeros(100) + unpacked(20)), size=(8000, 8000), depth=16, color=RGB),),
        "Invalid PNG data",
    ),
    "progressive JPEG that claims 65,535 x 65,535 pixels": ((sized(PROGRESSIVE, 65535, 65535),), _PIXELS),
    "the same, of 20,000 x 20,000, behind bytes that decoders skip": (
        (PROGRESSIVE[:2] + b"\xff\xd0" + sized(PROGRESSIVE, 20_000, 20_000)[2:],), _PIXELS,
    ),
    "JPEG with a million bytes FF before a marker": (
        (PROGRESSIVE[:2] + b"\xff" * MEBIBYTE + b"\0" + PROGRESSIVE[2:50],), "Invalid JPEG data",
    ),
    "10,000 starts of a JPEG, with 20 MiB behind each of them": (
        (b"\xff\xd8\xff\xe0\xfd\xe8" * 10_000 + bytes(20 * MEBIBYTE),), _PIXELS,
    ),
    "JPEG of 100,001 segments": ((b"\xff\xd8\xff" + b"\xff\xe1\0\2" * 100_001,), _PIXELS),
    "200,000 starts of a JPEG, in each other": ((b"\xff\xd8\xff\xe2\0\4" * 200_000,), _PIXELS),
    "GIF of 5,000 frames": (
        (encoded(noise(8, 8), "GIF")[:-1] + encoded(noise(8, 8), "GIF")[781:-1] * 4999 + b";",), _READ,
    ),
    "GIF that claims 65,535 x 65,535 pixels": ((b"GIF89a" + b"\xff" * 4 + bytes(99),), _READ),
    "BMP that claims -2,147,483,648 x 2,147,483,647 pixels": (
        (b"BM" + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 2**31 - 1, -(2**31), 1, 32, *[0] * 6),), _READ,
    ),
    "TIFF whose directory points at itself": (
        (b"II*\0\x08\0\0\0" + b"\1\0" + bytes(12) + b"\x08\0\0\0",), _READ,
    ),
    "WebP that claims 16,384 x 16,384 pixels": (
        (b"RIFF\xff\xff\xff\x7fWEBPVP8L\xff\xff\xff\x7f\x2f" + b"\xff" * 8,), _READ,
    ),
    "SVG with entities that grow without end": (
        (b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',), _READ,
    ),
    "PNG with alpha": ((png(SOME, color=WITH_ALPHA),), "colour type of this PNG: 6"),
}  # fmt: skip

ATTACKS = [
    *(Attack(name, images(file), "400", said) for name, (file, said) in WORK.items()),
    *(Attack(name, images(*files), "400", said) for name, (files, said) in CLAIMS.items()),
    Attack(
        "six requests of the largest claim at once",
        images(png(SOME, size=(8000, 8000), depth=16, color=RGB), times=6),
        "400",
        "Invalid PNG data",
        "503",  # where the server knows already how long so many pixels take
    ),
    Attack(
        "2,000 PNG files of one pixel, each with a compressed text of 8 MiB",
        images(*[png(chunk(b"zTXt", b"xmp\0\0" + zeros(8)), SOME, size=(1, 1))] * 2000),
        "400",
        TEXTS,
    ),
    Attack(
        "2,000 PNG files of one pixel, each with image data of 1 MiB",
        images(*[png(SOME, size=(1, 1))] * 2000),
        "400",
        "a PNG of 1 x 1 pixels holds more image data than these: damaged",
    ),
    Attack(
        "10,000 values, each of 400 starts of a JPEG in each other",
        images(*[b"\xff\xd8\xff\xe2\0\4" * 400] * 10_000),
        "400",
        _PIXELS,
    ),
    Attack("20,000 values that are no images", images(*[b""] * 20_000), "400", "element 0: accepted are PNG"),
]
