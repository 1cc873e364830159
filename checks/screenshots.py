"""Look at pages as their readers do: each at 1400 and 400 pixels, in light and in dark.

``python checks/screenshots.py PAGE ... --out FOLDER`` with pages as files or addresses; it needs a
Chromium. Names what a page complains of, and where it is wider than its window.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from browser import CHROMIUM, Page, browser

SIZES = {1400: False, 400: True}  # pixels: whether it is a phone
SETTLES = 0.5  # s that a page has for what it moves or loads after it is there


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Pictures of pages, wide and narrow.")
    parser.add_argument("pages", nargs="+", help="a file or an address")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder of the PNGs")
    options = parser.parse_args(arguments)
    if CHROMIUM is None:
        parser.error("there is no Chromium here (Debian: apt install chromium)")
    options.out.mkdir(parents=True, exist_ok=True)
    problems = 0
    with tempfile.TemporaryDirectory() as folder:
        for scheme, page in itertools.product(("light", "dark"), options.pages):
            with browser(
                Path(folder) / scheme
            ) as window:  # a fresh one: a page may keep its scheme
                for problem in taken(window, page, scheme, options.out):
                    print(problem, file=sys.stderr)
                    problems += 1
    return 1 if problems else 0


def taken(window: Page, page: str, scheme: str, out: Path) -> Iterator[str]:
    """Write the page's pictures; yield what is wrong with it."""
    window.scheme(scheme)
    for width, phone in SIZES.items():
        window.size(width, 900, phone=phone)
        window.open(page if "://" in page else Path(page).resolve().as_uri())
        time.sleep(SETTLES)
        file = out / f"{Path(page).stem}-{width}-{scheme}.png"
        file.write_bytes(window.picture())
        print(file)
        if (wide := window.value("document.documentElement.scrollWidth")) > width:
            yield f"{page}: {wide} pixels wide in a window of {width}"
    yield from (f"{page}: {error[:200]}" for error in window.errors)


if __name__ == "__main__":
    sys.exit(main())
