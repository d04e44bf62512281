"""Put one exported file into an app, with its manifest and self-test images, and check that the app's runtime takes it.

    dermedge bundle build/hierattn_xs --app web --out my_page
    dermedge bundle build/hierattn_xs --app android --recipe int8 --runtime tflite-2.16.1 --out my_app

Writes <out>/model for a web page, <out>/app/src/main/assets/model for Android and <out>/Demo/Model for iOS; an
earlier bundle there is replaced, and a folder that holds something else is refused. Sizes and hashes are checked, and
so is the oldest runtime that opens the file. --runtime says which one the app has: tflite-2.16.1 or litert-1.4.0
(Android), litertjs-2.5.3 (web), ios-17. Where `dermedge setup` has brought that runtime here, the self-test images are
run in it, and a file that it answers wrongly for is refused.

Exit code 2 where something is missing, was changed, or would not work on the phone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GOOD


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="the folder of exported files")
    p.add_argument("--app", required=True, choices=["android", "ios", "web"], help="the kind of app")
    p.add_argument("--out", required=True, type=Path, help="the app's folder")
    p.add_argument("--recipe", metavar="NAME", help="of the file, or its name (default: fp16)")
    p.add_argument("--answers", action="store_true", help="the file that takes answers beside the picture")
    p.add_argument("--runtime", metavar="NAME", help="the app's, such as tflite-2.16.1 (default: the usual one)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.bundles.bundle import bundle

    done = bundle(args.build, args.app, args.out, recipe=args.recipe, runtime=args.runtime, answers=args.answers)
    lines = [f"{done.entry.file}, its manifest and self-test images: {done.folder}"]
    if done.largest_delta_p is not None:
        lines.append(
            f"self-test in {done.runtime.name}: passed; largest difference of a probability {done.largest_delta_p:.2g}"
        )
    elif done.seen_right:
        where = "; ".join(f"{run.runtime} {run.version} on {run.processor}" for run in done.seen_right)
        lines.append(f"seen right in {done.runtime.name}: {where}")
    else:
        lines.append(
            f"note: nobody has seen this file right in {done.runtime.name} ({done.why_not_run}); run the app's "
            "self-test on a phone, or `dermedge parity --runtime` here"
        )
    for line in lines:
        screen().print(line, soft_wrap=True, markup=False)
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
