"""The training images that a net finds most like another one."""

from __future__ import annotations

from collections.abc import Mapping

from firstlight.app.index import Index, Kept
from firstlight.explain import ExplainedRun, extract_features
from firstlight.explain.features import ImageFeatures
from firstlight.progress import unwatched
from firstlight.types import Images

SHOWN = 8


class NearestImages:
    """What the last hidden layer of a run's net gives for its training images, kept for the run asked about last."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._features: Kept[ImageFeatures] = Kept(1)

    def of(self, key: str, split: str, sample: str) -> Images:
        """The training images that are nearest to one of the run's images, the nearest first.

        It belongs into the thread of inference. Raises RunError where the net or the images cannot be had any more.
        """
        from firstlight.explain.neighbours import candidates, nearest_rows

        run = self.index.opened(key)
        splits: Mapping[str, Images] = {name: self.index.images(key, name) for name in self.index.run(key).data.splits}
        explained = ExplainedRun(run.net, splits, {}, 0)
        layer = run.net.hidden

        def features() -> ImageFeatures:
            return extract_features(run.net, candidates(explained), layer, "", unwatched)

        train = self._features.get(key, run, features)
        asked = extract_features(run.net, explained.images([split], [sample]), layer, "", unwatched)
        found = nearest_rows(train.features, asked.features, SHOWN + 1)
        others = found.indices[0][train.images.ids[found.indices[0]] != sample]
        return train.images.take(others[:SHOWN])
