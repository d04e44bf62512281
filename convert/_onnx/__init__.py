"""ONNX: written from our own graph operator by operator, and run by ONNX Runtime."""
