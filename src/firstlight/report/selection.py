"""Which weights of a run were kept and measured, in words."""

from __future__ import annotations

from firstlight.records.run import RunRecord


def weights(record: RunRecord) -> str:
    """Which weights were kept and measured: "the weights of epoch 3, the best by validation loss"."""
    kept, best = record.weights_epoch, record.best_epoch
    if not kept:
        return "the weights that a part of the first epoch had made"
    last = kept == record.epochs_run
    complete = " complete" if record.status in ("interrupted", "diverged") else ""
    if last and not (record.kept_best and record.restore_best):
        said = f"the weights of the last{complete} epoch ({kept})"
    else:
        said = f"the weights of epoch {kept}"
    if best is None:
        return said
    if kept != best:
        return f"{said}; the best by {record.monitor} was epoch {best}"
    return f"{said}, the best by {record.monitor}"
