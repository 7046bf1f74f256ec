"""Where the alert rules send the person who is paged: `python deploy/prometheus/runbook.py [ADDRESS]`.

Undertone has no public address. The rules name the site of `make docs` as it is served from `build/site` on one's own
machine (`python -m http.server`). Give the address of the runbook as you publish it, once; the rules and the manifest
of the Prometheus operator are written with it. Without an argument the default is written.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from deploy.prometheus.as_kubernetes import RULES
from deploy.prometheus.as_kubernetes import main as write_manifest

DEFAULT = "http://localhost:8000/docs/runbook.html"


def with_address(rules: str, address: str) -> str:
    """The text of the rules with this page in every `runbook_url`; the entry after `#` stays.

    Raises ValueError for an address that is not absolute, or that has an entry or spaces of its own.
    """
    if not re.fullmatch(r"https?://[^\s#]+", address):
        raise ValueError(f"{address!r} is no absolute address of a page, such as {DEFAULT}")
    return re.sub(r"(runbook_url: )[^\s#]+#", lambda found: f"{found[1]}{address}#", rules)


def main(arguments: Sequence[str], rules: Path = RULES) -> int:
    """The command."""
    try:
        text = with_address(rules.read_text(), arguments[0] if arguments else DEFAULT)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    rules.write_text(text)
    return write_manifest([]) if rules == RULES else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
