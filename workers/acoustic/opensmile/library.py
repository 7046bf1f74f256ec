"""openSMILE's C interface, without the rest of its package, which loads pandas and audio files: 0.5 s and 85 MB."""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from opensmile.core.lib import SMILE_SUCCESS, ExternalSinkCallbackEx, OpenSMILE, smileapi
else:

    def _interface() -> Any:
        package = find_spec("opensmile")
        path = Path(*(package.submodule_search_locations or ()), "core", "lib.py") if package else Path()
        spec = spec_from_file_location("opensmile_interface", path) if path.is_file() else None
        if spec is None or spec.loader is None:
            raise ConfigurationError("the opensmile package is not installed: run make setup")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    _module = _interface()
    SMILE_SUCCESS, OpenSMILE, smileapi = _module.SMILE_SUCCESS, _module.OpenSMILE, _module.smileapi
    ExternalSinkCallbackEx = _module.ExternalSinkCallbackEx

__all__ = ["SMILE_SUCCESS", "ExternalSinkCallbackEx", "OpenSMILE", "smileapi"]
