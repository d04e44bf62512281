"""Serve the demo web page with one exported file, for a browser on this machine, or write it for a web server.

    dermedge serve-web build/hierattn_xs
    dermedge serve-web build/hierattn_xs --recipe int8 --port 8080
    dermedge serve-web build/hierattn_xs --out site

The file is bundled and checked as by `dermedge bundle --app web` and runs in LiteRT.js, which `dermedge setup browser`
brings. The page takes a photograph or the camera's picture, computes everything in the browser, and works offline once
it was loaded. Ctrl-C ends it. Research use, not a medical device.

--out writes the page with all that it needs into a folder instead, for a web server of yours: phones give a page the
camera, and keep it for offline use, over HTTPS alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GOOD, InputError

PORT = 8000


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="the folder of exported files")
    p.add_argument("--recipe", metavar="NAME", help="of the file, or its name (default: fp16)")
    p.add_argument("--answers", action="store_true", help="the file that takes answers beside the picture")
    p.add_argument("--port", type=int, help=f"on this machine (default: {PORT}; 0: any free one)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="write the whole page there, and serve nothing")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.bundles.bundle import bundle
    from edge.bundles.page import check_replaceable, served, written

    if args.out is not None:
        if args.port is not None:
            raise InputError("--out serves nothing; leave out --port")
        check_replaceable(args.out)
    with tempfile.TemporaryDirectory(prefix="dermedge-web-") as folder:
        done = bundle(args.build, "web", Path(folder), recipe=args.recipe, answers=args.answers)
        if args.out is not None:
            written(done.folder, args.out)
            told = f"{args.out}: the page with {done.entry.file}; put the folder on a web server with HTTPS"
            screen().print(told, soft_wrap=True, markup=False)
            return GOOD
        site = served(done.folder, port=PORT if args.port is None else args.port)
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
