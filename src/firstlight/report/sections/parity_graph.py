"""The compiled graph, which trains, beside the layers' own closures."""

from __future__ import annotations

from firstlight.records.parity import CompiledGraph, GraphFault, Parity
from firstlight.report.document import Block, Section, Text
from firstlight.report.format import counted, exponent


def section(parity: Parity) -> Section | None:
    return None if parity.graph is None else Section("The compiled graph", "graph", blocks(parity.graph))


def blocks(graph: CompiledGraph) -> tuple[Block, ...]:
    return (Text(caption(graph), tone="warning" if graph.fault else "note" if graph.not_compiled else "plain"),)


def caption(graph: CompiledGraph) -> str:
    """How far the graph is from the closures, or why there is none."""
    if graph.not_compiled:
        return (
            f"There is no compiled operation for the layer {graph.not_compiled}: training goes layer by layer, by the "
            "gradients above."
        )
    where = (
        f"The graph that trains, {counted(graph.operations, 'operation')}, was run on {counted(graph.images, 'image')} "
        "in float64 beside the gradients of the layers"
    )
    if graph.fault:
        return f"{where}. {graph.fault.sentence}"
    return f"{where}. Outputs, gradients and running statistics differ by at most {exponent(graph.worst)}."


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd graphs, by what is odd."""
    fault = GraphFault(("tiles", "clear"), ("<b>conv1", "block"), "the gradient with respect to conv1.b", float("inf"))
    return {
        "sound": blocks(CompiledGraph(1, 8, 1.6e-15, {"conv1.W": 0.0})),
        "a wrong operation": blocks(CompiledGraph(44, 8, float("inf"), {}, fault)),
        "no graph": blocks(CompiledGraph(not_compiled="softmax1 (<b>)")),
    }
