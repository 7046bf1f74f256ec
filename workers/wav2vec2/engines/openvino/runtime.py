"""OpenVINO without its telemetry.

The package imports its converter of models, which reports every import to an analytics service and keeps an id of the
machine in the home folder, unless the package that reports is missing. Here it always is.
"""

import sys
from importlib import import_module
from typing import Any

REPORTING = "openvino_telemetry"


def _loaded() -> tuple[Any, Any]:
    sys.modules.setdefault(REPORTING, None)  # type: ignore[arg-type]
    return import_module("openvino"), import_module("openvino.opset14")


openvino, opset = _loaded()
