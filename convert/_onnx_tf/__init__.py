"""The old road to TFLite: ONNX -> onnx-tf -> TensorFlow -> TFLite, in an environment of its own."""
