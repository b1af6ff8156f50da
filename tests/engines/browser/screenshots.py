"""Takes the pictures of docs/console: every page of the console, dark and light, wide and narrow, of a busy market.

    make screenshots

They come from the scripts by which tests judge the same pages; what a test would find ends this with an error.
"""

import shutil
import sys
import tempfile
from array import array
from collections import Counter
from pathlib import Path

from PIL import Image

from souk.testing.system import fleet
from tests.engines.browser.busy_market import make_busy
from tests.engines.browser.scripts import found_by

OFTEN, RARE = 24, 40
"""Colours that a page of the console needs, also those that are rare on it; a picture is three times smaller."""
PICTURES = Path(__file__).resolve().parents[3] / "docs" / "console"


def main() -> None:
    """Starts a fleet, has things happen in it, and pictures every page."""
    with tempfile.TemporaryDirectory(prefix="souk-screenshots-") as place:
        folder = Path(place, "browser")
        folder.mkdir()
        with fleet(Path(place, "fleet")) as system:
            found_by("console.mjs", system.url, folder, "journey")
            found_by("console.mjs", system.url, folder, "pages", make_busy(system).given())
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir(parents=True)
        taken = sorted(folder.glob("*-*-*.png"))
        for picture in taken:
            smaller(Image.open(picture).convert("RGB")).save(PICTURES / picture.name, optimize=True)
    size = sum(picture.stat().st_size for picture in PICTURES.iterdir())
    print(f"{len(taken)} pictures in {PICTURES}, {size / 1e6:.1f} MB", file=sys.stderr)


def smaller(whole: Image.Image) -> Image.Image:
    """Gives a picture in few colours: those that most of its pixels have, as they are, and some for what is rare."""
    pixels = array("I", whole.convert("RGBX").tobytes())
    counted = [pixel for pixel, _ in Counter(pixels).most_common()]
    rare = whole.quantize(RARE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(channel for pixel in counted[:OFTEN] for channel in _channels(pixel)), *rare])
    strip = Image.frombytes("RGB", (len(counted), 1), b"".join(map(_channels, counted)))
    # Pillow finds about the nearest colour, which is not good enough for those that a page is full of.
    near = dict(zip(counted, strip.quantize(palette=palette, dither=Image.Dither.NONE).tobytes(), strict=True))
    near |= {pixel: at for at, pixel in enumerate(counted[:OFTEN])}
    made = Image.frombytes("P", whole.size, bytes(map(near.__getitem__, pixels)))
    made.putpalette(palette.getpalette() or [])
    return made


def _channels(pixel: int) -> bytes:
    return pixel.to_bytes(4, sys.byteorder)[:3]


if __name__ == "__main__":
    main()
