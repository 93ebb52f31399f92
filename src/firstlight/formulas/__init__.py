"""The mathematics of docstrings: formulas as they stand there, read strictly, and typeset as MathML."""

from firstlight.formulas.derivation import Derivation, Step, derivation_of
from firstlight.formulas.docstrings import Formulas, formulas_of
from firstlight.formulas.notation import FormulaError, parse
from firstlight.formulas.typesetting import STYLE, mathml

__all__ = ["STYLE", "Derivation", "FormulaError", "Formulas", "Step", "derivation_of", "formulas_of", "mathml", "parse"]
