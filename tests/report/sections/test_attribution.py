"""Attribution: a row per image."""

from __future__ import annotations

from dataclasses import replace

from tests.report.explanations import chapters_of, explained_run, explanation_of, grids, real
from tests.report.run_folders import MakeRun

from firstlight.report.document import ImageGrid
from firstlight.report.sections import (
    attribution,
)


def test_a_dense_net_has_no_grad_cam(make_run: MakeRun) -> None:
    [with_cam, *_] = grids(chapters_of(explained_run(make_run))["looks"])
    assert [picture.text for picture in with_cam.pictures[1:4]] == ["saliency", "Grad-CAM", "occlusion"]
    assert (with_cam.columns, len(with_cam.pictures)) == (8, 12)
    [dense, *_] = grids(chapters_of(explained_run(make_run, "dense", dense=True))["looks"])
    assert (dense.columns, len(dense.pictures)) == (6, 9)
    assert "no Grad-CAM" in dense.caption


def test_an_attribution_tells_the_answer_the_truth_and_what_was_asked(make_run: MakeRun) -> None:
    found = explanation_of(make_run()).attributions[0]
    p = real([0.125, 0.75, 0.125])
    seen = replace(found, label=2, target=0, probabilities=p, occlusion=real([[-0.5, 0.25]]))
    _, said = attribution.blocks([seen, replace(seen, label=-1)], ("cat", "dog", "bird"))
    assert isinstance(said, ImageGrid)
    image, saliency, _, occlusion, unknown, *_ = said.pictures
    assert (image.text, image.detail, image.right) == ("dog", "75\u202f%, true: bird", False)
    assert (saliency.detail, occlusion.detail) == ("for cat", "for cat, −0.25")
    assert (unknown.detail, unknown.right) == ("75\u202f%", None)
