"""The encoder on OpenVINO, in float32, bfloat16 or int8."""
