"""Why a label is in doubt, in sentences for the page and in a line for the file of corrections."""

from __future__ import annotations

from firstlight.app.pages.review.subject import Doubt, Subject
from firstlight.report.format import percent


def suggested(subject: Subject, row: int | None, doubt: Doubt | None, label: str) -> str | None:
    """The other class that the image seems to be, where it can be labelled that."""
    if row is None:
        return None
    number = doubt.suggested if doubt else int(subject.predictions.predicted[row])
    name = subject.classes[number]
    return name if name in subject.labels and name != label else None


def why(subject: Subject, row: int | None, doubt: Doubt | None) -> list[str]:
    """The reason for a doubt in sentences, or why there is none."""
    if row is None:
        return ["The model was trained on this image, so its prediction is no evidence about the label."]
    p = subject.predictions.probabilities[row]
    if doubt is None:
        first = int(p.argmax())
        right = first == subject.predictions.labels[row]
        said = f"The model gives {percent(p[first], 0)} to {subject.classes[first]}"
        return [f"{said}, as it is labelled." if right else f"{said}, too little to suspect the label."]
    given, suggested = subject.classes[doubt.given], subject.classes[doubt.suggested]
    probabilities = f"{percent(p[doubt.suggested], 0)} to {suggested} and {percent(p[doubt.given], 0)} to {given}"
    lines = [f"A model that was not trained on it predicts {probabilities}."]
    if doubt.neighbours_agree is not None:
        lines.append(f"Of the nearest training images, {percent(doubt.neighbours_agree, 0)} are labelled {suggested}.")
    return lines


def reason(subject: Subject, row: int | None, doubt: Doubt | None) -> str:
    """The same as the file of corrections has it."""
    if row is None or doubt is None:
        return "looked up"
    p = subject.predictions.probabilities[row]
    given, suggested = subject.classes[doubt.given], subject.classes[doubt.suggested]
    text = f"doubt: {suggested} {p[doubt.suggested]:.3f}, {given} {p[doubt.given]:.3f}"
    if doubt.neighbours_agree is not None:
        text += f", neighbours {doubt.neighbours_agree:.2f}"
    return text
