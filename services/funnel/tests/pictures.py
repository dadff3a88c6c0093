"""Pictures as a phone takes them: told apart by what they show, with time and place in them."""

from __future__ import annotations

import io
import random
from datetime import datetime

from PIL import ExifTags, Image


def picture(
    seed: int,
    *,
    taken: datetime | None = None,
    place: tuple[float, float] | None = None,
    quality: int = 90,
    size: tuple[int, int] = (640, 480),
    software: str = "",
) -> bytes:
    """The same seed shows the same thing, whatever the quality or the size."""
    drawn = random.Random(seed)
    spots = Image.new("L", (16, 12))
    spots.putdata([drawn.randrange(256) for _ in range(16 * 12)])
    image = spots.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "HUAWEI"
    if software:
        exif[ExifTags.Base.Software] = software
    if taken is not None:
        details = exif.get_ifd(ExifTags.IFD.Exif)
        details[ExifTags.Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
        details[ExifTags.Base.OffsetTimeOriginal] = taken.strftime("%z")[:3] + ":" + taken.strftime("%z")[3:]
    if place is not None:
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        for degrees, sides, value, side in (
            (place[0], "NS", ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef),
            (place[1], "EW", ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef),
        ):
            gps[side] = sides[degrees < 0]
            whole, rest = divmod(abs(degrees), 1)
            minutes, rest = divmod(rest * 60, 1)
            gps[value] = (whole, minutes, rest * 60)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, exif=exif)
    return written.getvalue()
