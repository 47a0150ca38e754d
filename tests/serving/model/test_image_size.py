"""Sizes that headers claim, without decoding anything."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from serving.model.image_size import TOO_MANY, declared_pixels, unbounded_work
from tests.serving.hostile.image_files import WORK, chunk, png, scans, sized


def encoded(mode: str, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


FILES = {
    "grey PNG": encoded("L", "PNG"),
    "RGB PNG": encoded("RGB", "PNG"),
    "palette PNG": encoded("P", "PNG"),
    "grey JPEG": encoded("L", "JPEG"),
    "RGB JPEG": encoded("RGB", "JPEG"),
    "progressive JPEG": encoded("RGB", "JPEG", progressive=True),
    "JPEG with a comment": encoded("L", "JPEG", comment=b"\xff\xc0" * 100),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("before", [b"", b"\x0a\x08some field of a message"])
def test_size_of_a_file_wherever_it_lies(kind: str, before: bytes):
    assert declared_pixels(before + FILES[kind] + b"after it") == 50 * 70


# What libjpeg skips before a marker, with a warning at most.
SKIPPED = {
    "another byte": b"\0",
    "a stuffed zero": b"\xff\0",
    "a marker without a length": b"\xff\x01",
    "a restart": b"\xff\xd0",
    "a segment of no length": b"\xff\xe5\0\0",
    "a block": bytes(1 << 16),
    "half a marker at the end of a block": bytes((1 << 16) - 1),
}


@pytest.mark.parametrize("what", SKIPPED)
@pytest.mark.parametrize("at", [2, 20])  # before and after the first segment
def test_a_jpeg_has_its_size_behind_what_decoders_skip(what: str, at: int):
    data, skipped = FILES["grey JPEG"], SKIPPED[what]
    if at == 2 and skipped[0] != 0xFF:
        skipped = b"\xff\xe5\0\2" + skipped  # the third byte of every JPEG is FF
    assert declared_pixels(data[:at] + skipped + data[at:]) == 50 * 70


def test_what_looks_like_a_jpeg_in_a_png_is_its_data():
    data = png(chunk(b"IDAT", b"\xff\xd8\xff\xc0\0\x0b\x08" + b"\xee" * 99), size=(50, 70))
    assert (declared_pixels(data), unbounded_work(data)) == (50 * 70, "")


def test_the_largest_counts():
    assert declared_pixels(FILES["grey PNG"] + png(size=(2000, 3000)) + FILES["RGB JPEG"]) == 6_000_000


def test_a_claim_beyond_all_integers():
    assert declared_pixels(png(size=(2**32 - 1, 2**32 - 1))) == (2**32 - 1) ** 2


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_short_anywhere_has_its_size_or_none(kind: str):
    data = FILES[kind]
    assert {declared_pixels(data[:length]) for length in range(min(1000, len(data)))} <= {0, 50 * 70}


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 50, b"\xff\xd8\xff\xe0\0\0" * 9]
)
def test_what_is_no_image_has_none(data: bytes):
    assert declared_pixels(data) == 0


def test_a_file_of_starts_alone_takes_no_square_of_time():
    data = b"\xff\xd8\xff\xe2\0\4" * 200_000
    assert declared_pixels(data) == TOO_MANY


ATTACKS = {
    **WORK,
    "segments": (b"\xff\xd8\xff" + b"\xff\xe1\0\2" * 100_001, "a JPEG of too many segments"),
}


@pytest.mark.parametrize("kind", ATTACKS)
@pytest.mark.parametrize("before", [b"", b"\x0a\x08some field of a message"])
def test_work_that_no_header_promises_is_refused(kind: str, before: bytes):
    data, sentence = ATTACKS[kind]
    assert unbounded_work(before + data).startswith(sentence)


def test_the_values_of_a_request_have_their_limits_together():
    """A limit for each would be thousands of times as much work."""
    some = chunk(b"IDAT", zlib.compress(bytes(400_000)))
    text = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(3 << 20)))
    large = sized(scans(85), 2000, 2000)
    for value in (png(some), png(text), large):
        assert unbounded_work(value, value) == ""
        assert unbounded_work(value, value, value)


def test_starts_in_each_other_are_too_many_in_a_small_value_already():
    assert declared_pixels(b"\xff\xd8\xff\xe2\0\4" * 400) == TOO_MANY


def test_packed_data_are_inflated_in_blocks(monkeypatch: pytest.MonkeyPatch):
    """zlib copies all that is left of the data with every block that it returns."""
    sizes: list[int] = []

    class Stream:
        eof, unconsumed_tail = False, b""

        def decompress(self, packed: bytes, most: int) -> bytes:
            sizes.append(len(packed))
            return packed

    monkeypatch.setattr(zlib, "decompressobj", Stream)
    assert unbounded_work(png(chunk(b"IDAT", bytes(1 << 20)), size=(2000, 2000))) == ""
    assert sizes == [1 << 16] * 16


def test_a_small_jpeg_may_have_more_scans_than_a_large_one():
    assert unbounded_work(scans(85)) == ""
    assert unbounded_work(sized(scans(85), 1000, 1000)) == ""
    assert unbounded_work(sized(scans(5), 60_000, 60_000)) == ""


@pytest.mark.parametrize("kind", FILES)
def test_images_are_as_much_work_as_they_say(kind: str):
    assert unbounded_work(b"before" + FILES[kind] + b"after" + FILES[kind]) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"", b"text", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 50, png(chunk(b"IDAT", b"no zlib")),
        png(chunk(b"iTXt", b"x")), png(chunk(b"zTXt", b"")), png(chunk(b"iTXt", b"x\0\0\0" + bytes(9 << 20))),
    ],
)  # fmt: skip
def test_what_is_damaged_otherwise_is_left_to_the_decoder(data: bytes):
    assert unbounded_work(data) == ""


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_the_largest_image_data_that_a_size_allows(mode: str):
    """Noise that cannot be packed, in all kinds of pixels, is within its bound."""
    rng = np.random.default_rng(3)
    noise = Image.frombytes(
        mode, (200, 600), rng.bytes(200 * 600 * 8)[: len(Image.new(mode, (200, 600)).tobytes())]
    )
    buffer = io.BytesIO()
    noise.save(buffer, "PNG", compress_level=0)
    assert unbounded_work(buffer.getvalue()) == ""
