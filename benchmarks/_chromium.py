"""Chromium's own decoders: a page that draws every file into a canvas in sRGB, by `chromium --headless --dump-dom`."""

from __future__ import annotations

import base64
import html
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.errors import InputError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb")
SECONDS = 120
MARK = '<pre id="out">'
# The pictures of a page are decoded before `onload`; what could not be has no size.
PAGE = """<pre id="out"></pre><div></div><script>
for (const [name, address] of Object.entries(%s)) {
  const image = new Image(); image.name = name; image.src = address; document.querySelector('div').append(image);
}
window.onload = () => {
  const out = {};
  for (const image of document.images) {
    if (!image.naturalWidth) { out[image.name] = null; continue; }
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true, colorSpace: 'srgb'});
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let text = '';
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    out[image.name] = {width: canvas.width, height: canvas.height, rgba: btoa(text)};
  }
  document.querySelector('div').remove(); document.scripts[0].remove();
  document.getElementById('out').textContent = JSON.stringify(out);
};
</script>"""

Decoded = np.ndarray | str  # RGB uint8 (H, W, 3), or why there is none


def decode_all(files: Mapping[str, tuple[str, bytes]]) -> tuple[str, dict[str, Decoded]]:
    """The browser's version, and name -> what it makes of (MIME type, contents). InputError without a browser."""
    program = next((program for program in PROGRAMS if shutil.which(program)), None)
    if program is None:
        raise InputError("no Chromium: `apt-get install chromium`")
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split(" built")[0].strip()
    addresses = {name: f"data:{mime};base64,{base64.b64encode(data).decode()}" for name, (mime, data) in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(PAGE % json.dumps(addresses), "utf-8")
        command = [program, *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    begin = done.stdout.find(MARK) + len(MARK)
    text = html.unescape(done.stdout[begin : done.stdout.find("</pre>", begin)])
    if begin < len(MARK) or not text:
        raise InputError(f"{program} drew nothing: {done.stderr.strip()[-300:]}")
    return version, {name: pixels(entry) for name, entry in json.loads(text).items()}


def pixels(entry: Mapping[str, object] | None) -> Decoded:
    if entry is None:
        return "not decoded"
    rgba = np.frombuffer(base64.b64decode(str(entry["rgba"])), np.uint8)
    return rgba.reshape(int(str(entry["height"])), int(str(entry["width"])), 4)[:, :, :3]
