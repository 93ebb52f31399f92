"""One step of training, number by number, on the engine numpy: forward, loss, backward, update; and the next ones.

    step = fl.step("lenet5", images.take([0]))      # the first `Step` of a `Course`, from the initial weights
    step.layer("conv1").y                           # (C, H, W, N), and x, dy, dx, p, gradients: a `LayerStep`
    step.working("conv1", "y", (0, 5, 7, 0))        # the products and sums that make a number: a `Working`
    step.weight("conv1.W", (0, 0, 2, 2))            # its derivative in three ways, and its update: a `WeightStep`
    step.forward(10).back(10)                       # the same numbers: whatever is drawn is drawn by key

Each number is that of a float32 step with the reference kernels (`kernels/reference.py`), the very one that
`NumpySession.train_step` takes with them. The batch is the last axis.

**As JSON**, for a page. A number that is not finite is the text "NaN", "Infinity" or "-Infinity". An array is
{"shape": […], "float32": base64 of its numbers in the order of C, little-endian}.

`Step.to_json()`: the step without its arrays.

    name, number (of steps before it), epoch, steps_per_epoch, rate, training, optimizer, classes: [names]
    images:  [{id, label, predicted, loss, probabilities: [number per class]}, …]
    loss:    {type, value (their mean), penalty}
    layers:  [{path, type, source (path of what it reads, "" the images), container (whether layers lie inside it),
              options: {name: value}, input_shape, output_shape (of one image, channels first),
              parameters: {name: {shape, trained}},
              statistics: {output, silent, zeros, dy, weights, gradient, update, ratio}: see `LayerStatistics`}, …]
             in the order of the data; a container comes after what is inside it

`LayerStep.to_json(image=0)`: a layer's arrays of one image of the batch (of all, batch last, without `image`).

    path, type, source
    arrays:     {x, y, dy, dx: array}
    parameters: {name: array}, gradients: {name: array}     of the whole batch; both {} of a container

`LossStep.to_json(image=0)`:

    type, value, penalty, values: array (N,), weights: null or array (N,)
    arrays: {y, t, dy: array (K,), p: array (classes,)}

`Working.to_json(most=400)`, of `step.working(path, of, index)`: `of` is "y" or "dx", whose index ends in the image's
number, or a parameter's name, such as "W", for its gradient. With the path "loss": "value" (n,) or "dy" (k, n).

    of, index, value (the engine's), worked (the last line's), difference, rounding (the most by which float32 may take
    the two apart), agrees, note
    lines: [{symbol, formula, says, kind, value, winner, products}, …]    a later one uses an earlier by its symbol
        formula: one that `firstlight.formulas.mathml` reads, or ""; says: in words, or ""
        kind "sum": value = Σ over products of Σ over terms; "largest": term `winner` of products[0]; "value": what the
        formula makes of the numbers, each of which is a product of one operand
        products: [{operands: [{array, index: null or [[place], …], values: […]}, …], values: [product of each term],
                    terms, omitted, omitted_sum}, …]     of more than `most` terms the largest, the others added up
        array: "x", "y", "dy", "dx", "t", a parameter's name; a child's name (of a container); the symbol of a line, of
        a hyperparameter or of an array that is only worked out, such as "x̂" or "z"; "" for a number without a name

`WeightStep.to_json(autograd=True)`, of `step.weight(name, index)`:

    name, index, value, by_hand, by_nudge, nudge_agrees, by_autograd (null: see no_autograd, or not asked),
    no_autograd (why, ""), autograd_agrees, penalty (the derivative of the penalties, which the optimizer adds)
    offsets, losses, tangent: [number, …]     the mean loss where the weight is moved by so much, and the straight line
    working: that of the derivative;  update: a `Working` of the optimizer's step, "θ";  after: the weight after it

`StepRow.to_json()`, of each of `step.history`:

    number, epoch, loss, accuracy (of the batch that was trained on), looked (the images' loss, or null),
    layers: {path: {ratio, weights, update, gradient, output, silent, dy: number or null}}

`Preset.to_json()`, of each of `PRESETS`, what goes wrong: `preset.course(mended=False)` is its way, `preset.step()` the
step at which it is plain.

    name, title, steps (after which it is plain), watch, cause, remedy (a sentence each),
    path, statistic (where it is seen: of `layers[path].statistics`; with the path "" "loss" or "accuracy" of the step)
"""

from firstlight.layers import LayerStep
from firstlight.losses import LossStep
from firstlight.training_step.course import Course, LayerRow, StepRow
from firstlight.training_step.opening import course_of_model
from firstlight.training_step.presets import PRESETS, Preset, preset
from firstlight.training_step.statistics import LayerStatistics
from firstlight.training_step.step import Step
from firstlight.training_step.weight import WeightStep
from firstlight.working import Line, Operand, Product, Working

__all__ = [
    "PRESETS",
    "Course",
    "LayerRow",
    "LayerStatistics",
    "LayerStep",
    "Line",
    "LossStep",
    "Operand",
    "Preset",
    "Product",
    "Step",
    "StepRow",
    "WeightStep",
    "Working",
    "course_of_model",
    "preset",
]
