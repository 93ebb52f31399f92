"""Formulas are MathML that parses, says what the text says, and has nothing in it but elements of MathML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from firstlight.formulas import FormulaError, mathml
from firstlight.formulas.typesetting import NAMESPACE

ELEMENTS = {"math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "msub", "msup", "msubsup", "mover"}
ELEMENTS |= {"munder", "munderover", "mtable", "mtr", "mtd"}


def tree(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(mathml(text))
    assert {element.tag.removeprefix(f"{{{NAMESPACE}}}") for element in root.iter()} <= ELEMENTS
    return root


def shown(element: ElementTree.Element) -> str:
    """The structure in short: fractions, roots and scripts by name, with what is in them."""
    name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    inner = [shown(child) for child in element]
    if name in ("math", "mrow"):
        return "".join(inner)
    if name in ("mi", "mn", "mo", "mtext", "mspace"):
        return "" if element.text in ("\u2061", "\u2062") else (element.text or "")
    return f"{name[1:]}({('' if name in ('mtd', 'msqrt') else ' ').join(inner)})"


SHOWN = {
    "y = γ x̂ + β": "y=γover(x ^)+β",
    "dx = γ / √(σ² + ε) · (dy − dβ/m)": "dx=frac(γ sqrt(sup(σ 2)+ε))·(dy−frac(dβ m))",
    "dW = dy xᵀ": "dW=dysup(x T)",
    "y[o,i] = Σ[c,u] W[o,c,u] · x[c, i·s+u]": "sub(y o,i)=under(∑ c,u)sub(W o,c,u)·sub(x c,i·s+u)",
    "dx[c, i·s+u] += dy[c,i]": "sub(dx c,i·s+u)+=sub(dy c,i)",
    "y = x where x > 0, else α (eˣ − 1)": "y={table(tr(td(x) td(where\u00a0x>0)) tr(td(α(sup(e x)−1)) td(else\u00a0)))",
    "L = −Σₖ tₖ (1 − pₖ)^γ log pₖ": "L=−under(∑ k)sub(t k)sup((1−sub(p k)) γ)logsub(p k)",
    "p = Πᵢ₌₁ᵗ⁺¹ μᵢ": "p=underover(∏ i=1 t+1)sub(μ i)",
    "m̂ = m / (1 − β₁ᵗ)": "over(m ^)=frac(m 1−subsup(β 1 t))",
    "y = e^(−x²/2)": "y=sup(e −sup(x 2)/2)",
    "φ(x) = Φ′(x)": "φ(x)=sup(Φ ′)(x)",
    "y = x in evaluation": "y=xin evaluation\u00a0",
    "= 1 − y²": "=1−sup(y 2)",
    "lr ← lr / 2": "lr←frac(lr 2)",
    "∂yₖ/∂xⱼ = yₖ (δₖⱼ − yⱼ)": "frac(∂sub(y k) ∂sub(x j))=sub(y k)(sub(δ kj)−sub(y j))",
}


@pytest.mark.parametrize("text", SHOWN)
def test_the_structure_is_that_of_the_formula(text: str) -> None:
    assert shown(tree(text)) == SHOWN[text]


def test_brackets_grow_round_what_is_tall_alone() -> None:
    assert 'stretchy="true"' in mathml("(a / b)")
    assert 'stretchy="true"' not in mathml("(a + b)")


def test_what_a_page_could_take_for_markup_is_escaped() -> None:
    assert tree("y = 1 where 0 < x, else 0").attrib["alttext"] == "y = 1 where 0 < x, else 0"
    for text in ("<script>", "y = a & b", 'y = "a"'):
        with pytest.raises(FormulaError):
            mathml(text)


def test_a_formula_of_its_own_line_is_larger() -> None:
    assert 'display="block"' in mathml("a / b", display=True)
    assert "display=" not in mathml("a / b")
