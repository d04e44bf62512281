"""A .tflite file as it lies on disk: its objects, the versions of its operators, the release that opens it."""
