"""Speech engines and sound."""

import os

# Libraries read these when they are first imported. The official builds of ONNX Runtime, those for Linux as well, keep
# an id of the machine and report each start and each loaded model to Microsoft, unless this is set.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
