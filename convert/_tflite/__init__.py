"""TFLite: lowering operator by operator, measured 8 bits, audit."""
