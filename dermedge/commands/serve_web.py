"""Serve the demo web page with one exported file, for a browser on this machine.

    dermedge serve-web build/hierattn_xs
    dermedge serve-web build/hierattn_xs --recipe int8 --port 8080

The file is bundled and checked as by `dermedge bundle --app web` and runs in LiteRT.js, which `dermedge setup browser`
brings. The page takes a photograph or the camera's picture, computes everything in the browser, and works offline once
it was loaded. Ctrl-C ends it. Research use, not a medical device.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GOOD

PORT = 8000


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="the folder of exported files")
    p.add_argument("--recipe", metavar="NAME", help="of the file, or its name (default: fp16)")
    p.add_argument("--answers", action="store_true", help="the file that takes answers beside the picture")
    p.add_argument("--port", type=int, default=PORT, help=f"on this machine (default: {PORT}; 0: any free one)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.bundles.bundle import bundle
    from edge.bundles.page import served

    with tempfile.TemporaryDirectory(prefix="dermedge-web-") as folder:
        done = bundle(args.build, "web", Path(folder), recipe=args.recipe, answers=args.answers)
        site = served(done.folder, port=args.port)
        try:
            screen().print(f"{done.entry.file}: open {site.address}/ (Ctrl-C ends it)", soft_wrap=True, markup=False)
            site.thread.join()
        except KeyboardInterrupt:
            screen().print("ended", markup=False)
        finally:
            site.close()
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
