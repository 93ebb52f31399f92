"""What a net gives, handed out; in training, where Python works out the loss, its gradient comes in here."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from firstlight.kernels._interpreter import view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Part, Step, Value, operation, step


@operation
def output(graph: Graph, y: Value) -> Value:
    """The end of the forward pass; in training all wait for the gradient."""
    graph.outputs = y.size
    graph.append(Output(y, y.size))
    if graph.training:
        graph.takes_output_gradients = True
        graph.wait()
        graph.forward_steps = len(graph.steps)
        dy = graph.value(y.shape)
        graph.append(Seed(dy, y.size))
        graph.backward_from(y, dy)
    return y


@step
class Output(Step):
    """Hand y out."""

    y: Value | Part
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        y, outputs = view(frame.arena, like)[op.y :], view(frame.outputs, like)
        for k in range(op.features):
            for i in range(n):
                outputs[k * frame.images + n0 + i] = y[k * n + i]


@step
class Seed(Step):
    """Take dy in."""

    dy: Value
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        dy, gradients = view(frame.arena, like)[op.dy :], view(frame.output_gradients, like)
        for k in range(op.features):
            for i in range(n):
                dy[k * n + i] = gradients[k * frame.images + n0 + i]
