"""What a MediaPipe task says of pictures, in MediaPipe's own environment: imports nothing of dermedge.

    python mediapipe_worker.py classify|segment MODEL PICTURES.npy

On standard output a JSON object in one line, with the categories in output order, and behind it the float32 numbers of
all pictures. Exit code 3: MediaPipe refuses the file.
"""

from __future__ import annotations

import json
import sys

import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision

LANGUAGE = "en"  # of display names


def classify(base, pictures: list) -> tuple[dict, list]:
    options = vision.ImageClassifierOptions(base_options=base, display_names_locale=LANGUAGE)
    rows: list = []
    said: dict = {"codes": [], "names": []}
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for picture in pictures:
            answer = classifier.classify(picture).classifications[0].categories
            ordered = sorted(answer, key=lambda category: category.index)
            said = {"codes": [c.category_name for c in ordered], "names": [c.display_name for c in ordered]}
            rows.append([c.score for c in ordered])
    return said, rows


def segment(base, pictures: list) -> tuple[dict, list]:
    options = vision.ImageSegmenterOptions(base_options=base, output_confidence_masks=True)
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        rows = [np.array(segmenter.segment(picture).confidence_masks[0].numpy_view()) for picture in pictures]
        return {}, rows


def main(task: str, model: str, path: str) -> int:
    images = np.load(path, allow_pickle=False)
    pictures = [mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)) for image in images]
    base = tasks.BaseOptions(model_asset_path=model)
    try:
        said, rows = {"classify": classify, "segment": segment}[task](base, pictures)
    except (ValueError, RuntimeError, OSError) as error:  # a refused file is a FileNotFoundError there
        sys.stderr.write(f"worker: {' '.join(str(error).split())}\n")
        return 3
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + np.array(rows, np.float32).tobytes())
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
