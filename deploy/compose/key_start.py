"""Makes the key directory of a compose installation whose data is sealed, and its token, where they are missing.

python -m deploy.compose.key_start      # compose runs it before the roles; without sealing it does nothing
"""

import os
import sys
from pathlib import Path
from urllib.parse import parse_qs

from deploy.compose.soft_token import SOFTHSM, VARIABLE, folder_of, make_token
from schemas.errors import ConfigurationError, ExitCode, Transient
from schemas.settings import Settings
from workers.privacy.key_directory import KeyDirectory


def main() -> int:
    """The command: 0, or the exit status of an error, which is printed."""
    try:
        settings = Settings.load()
        if settings.key_directory_url is None:
            return 0
        _make_token(settings.kms or "")
        if KeyDirectory.init(settings):
            print("the key directory is made: back up the folder `keyset` and its database", file=sys.stderr)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Transient as error:
        print(error, file=sys.stderr)
        return ExitCode.UNAVAILABLE
    return 0


def _make_token(kms: str) -> None:
    """Make the token that `first_start` has named, if it has: not one of the operator's own."""
    library, _, query = kms.removeprefix("pkcs11:").partition("?")
    configuration = Path(os.environ.get(VARIABLE) or ".")
    if library == SOFTHSM and configuration.is_file():
        given = parse_qs(query)
        make_token(folder_of(configuration), given["token"][0], given["pin"][0])


if __name__ == "__main__":
    sys.exit(main())
