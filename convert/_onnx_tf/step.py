"""Run by the Python of the environment `onnx-tf`, which has neither torch nor dermedge: one .onnx file -> one .tflite.

    python -I step.py MODEL.onnx SHA256 MODEL.tflite

SHA256 is that of the .onnx file that was written for it; another file is refused. The last line on standard output is
JSON: the SHA-256 of what was read and of what was written, or `error` with what could not be done.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path


def convert(content: bytes, folder: Path) -> bytes:
    import onnx
    import tensorflow as tf
    from onnx_tf.backend import prepare

    prepare(onnx.load_model_from_string(content)).export_graph(str(folder))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # phones have no others
    return converter.convert()


def main(source: str, sha256: str, target: str) -> dict[str, str]:
    content = Path(source).read_bytes()
    read = hashlib.sha256(content).hexdigest()
    if read != sha256:
        return {"error": f"{Path(source).name} is another file than was written for this step (SHA-256 {read[:12]}…)"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            tflite = convert(content, Path(folder))
        except Exception as error:  # of two converters, with classes of their own
            return {"error": f"{type(error).__name__}: {error}"}
    Path(target).write_bytes(tflite)
    return {"onnx_sha256": read, "tflite_sha256": hashlib.sha256(tflite).hexdigest()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
