"""What a component must pass, ours and a user's alike: `check`, which the suites of firstlight use as well.

A demand is a function that raises `DemandError` where something does not hold; a fault is a mistake that is made on
purpose, to show that some demand catches it.
"""

from __future__ import annotations

from firstlight.checks.component import check as check
from firstlight.checks.component import check_plugin as check_plugin
from firstlight.checks.demand import DemandError as DemandError
from firstlight.checks.result import ComponentCheck as ComponentCheck
from firstlight.checks.result import Finding as Finding
from firstlight.checks.result import Proof as Proof
