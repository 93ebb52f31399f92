"""Trained models behind HTTP: `firstlight serve`, or an ASGI application, `Service`."""

from __future__ import annotations

from firstlight.serve.limits import Limits
from firstlight.serve.served_models import ServedModel, named_runs
from firstlight.serve.service import Service
from firstlight.serve.serving import serve

__all__ = ["Limits", "ServedModel", "Service", "named_runs", "serve"]
