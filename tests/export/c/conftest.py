from __future__ import annotations

import pytest

from firstlight.errors import NoRuntimeError
from firstlight.export.c.compiler import compiler


@pytest.fixture(scope="session")
def c_compiler() -> str:
    """The path of a C compiler; the tests that want one say that they were skipped without."""
    try:
        return compiler()[0]
    except NoRuntimeError as error:
        pytest.skip(str(error))
