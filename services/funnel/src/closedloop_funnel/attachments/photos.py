"""What a file is by its bytes, and what a picture carries in itself (EXIF) and resembles."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from closedloop_funnel.attachments.rules import PDF, TEXT, ZIP

# Difference hash (Krawetz 2013): each bit says whether a spot is brighter than its right neighbour.
HASH_WIDTH, HASH_HEIGHT = 9, 8
# Only these are opened; more readers are more ways in.
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError, EOFError)


@dataclass(frozen=True, slots=True)
class Photo:
    """`taken_at` is aware; `picture` is a signed 64-bit hash."""

    width: int
    height: int
    taken_at: datetime | None
    latitude: float | None
    longitude: float | None
    device: str
    software: str
    picture: int


def sniff(content: bytes) -> str:
    """The content type the bytes show; empty for none we know."""
    if content.startswith(b"%PDF-"):
        return PDF
    if content.startswith(b"PK\x03\x04"):
        return ZIP
    try:
        with Image.open(io.BytesIO(content), formats=list(FORMATS)) as image:
            return FORMATS[image.format or ""]
    except (*UNREADABLE, KeyError):
        pass
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ""
    return TEXT if text.isprintable() or not (set(text) & set(map(chr, range(9)))) else ""


def read(content: bytes, largest_pixels: int, zone: tzinfo) -> Photo | None:
    """None for a picture that cannot be decoded, or has too many pixels. `zone` holds where the picture names none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=list(FORMATS)) as image:
                width, height = image.size
                if width * height > largest_pixels:
                    return None
                exif = image.getexif()
                picture = _hash(image)
    except UNREADABLE:
        return None
    latitude, longitude = _position(exif)
    return Photo(
        width=width,
        height=height,
        taken_at=_taken(exif, zone),
        latitude=latitude,
        longitude=longitude,
        device=" ".join(filter(None, (_text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))))),
        software=_text(exif.get(ExifTags.Base.Software)),
        picture=picture,
    )


def _hash(image: Image.Image) -> int:
    image.draft("L", (HASH_WIDTH * 8, HASH_HEIGHT * 8))
    small = image.convert("L").resize((HASH_WIDTH, HASH_HEIGHT), Image.Resampling.LANCZOS)
    spots = list(small.tobytes())
    bits = 0
    for row in range(HASH_HEIGHT):
        for column in range(HASH_WIDTH - 1):
            place = row * HASH_WIDTH + column
            bits = bits << 1 | (spots[place] > spots[place + 1])
    return bits - (1 << 64) if bits >> 63 else bits


def _taken(exif: Image.Exif, zone: tzinfo) -> datetime | None:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    said = _text(details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime))
    try:
        moment = datetime.strptime(said, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    return moment.replace(tzinfo=_offset(_text(details.get(ExifTags.Base.OffsetTimeOriginal))) or zone)


def _offset(text: str) -> tzinfo | None:
    try:
        moment = datetime.strptime(text, "%z")
    except ValueError:
        return None
    return timezone(moment.utcoffset() or timedelta(0))


def _position(exif: Image.Exif) -> tuple[float | None, float | None]:
    found = exif.get_ifd(ExifTags.IFD.GPSInfo)
    latitude = _degrees(found.get(ExifTags.GPS.GPSLatitude), found.get(ExifTags.GPS.GPSLatitudeRef), "S", 90)
    longitude = _degrees(found.get(ExifTags.GPS.GPSLongitude), found.get(ExifTags.GPS.GPSLongitudeRef), "W", 180)
    return (latitude, longitude) if latitude is not None and longitude is not None else (None, None)


def _degrees(parts: Any, side: Any, negative: str, most: int) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    value = -value if side == negative else value
    return value if abs(value) <= most else None


def _text(value: Any) -> str:
    return str(value).replace("\x00", "").strip()[:200] if value else ""
