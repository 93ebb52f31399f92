"""The process that draws charts: a request a line in, an answer a line out, until there are no more.

`vega_process.py` starts this file as a script, so it imports nothing of firstlight. What the libraries print by
themselves goes to standard error, which the other side reads.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from contextlib import suppress


def main() -> None:
    """Answer each [function of vl-convert, arguments] with {"text": …}, bytes in Base64, or {"error": …}."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import vl_convert

    with suppress(Exception):  # the engine takes most of a second to start: let it, before the first chart comes
        vl_convert.vega_to_svg({"marks": []})
    for line in sys.stdin.buffer:
        function, arguments = json.loads(line)
        try:
            made = getattr(vl_convert, function)(**arguments)
            answer = {"text": base64.b64encode(made).decode() if isinstance(made, bytes) else made}
        except Exception as error:
            answer = {"error": f"{error}" or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
