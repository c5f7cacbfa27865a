# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence

from mmengine.evaluator import BaseMetric

from orsa.registry import METRICS


@METRICS.register_module()
class PerDatasetMetric(BaseMetric):
    """Any metric, for each of several concatenated datasets by itself.

    Samples are told apart by ``dataset_name``, which has to be among the
    packed ``meta_keys``. The results are named ``DATASET/METRIC``.

    Args:
        metric (dict): Config of the metric.
        collect_device (str): See :class:`orsa.FERMetric`. Defaults to 'gpu'.
        prefix (str, optional): As of MMEngine's ``BaseMetric``.

    Raises:
        KeyError: If a sample has no ``dataset_name``.
    """

    def __init__(self,
                 metric: dict,
                 collect_device: str = 'gpu',
                 prefix: Optional[str] = None):
        super().__init__(collect_device, prefix)
        self.metric = METRICS.build(metric)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Hand the metainfo on."""
        self._dataset_meta = self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Let the metric process each sample, and note its dataset."""
        for sample in data_samples:
            if not sample.get('dataset_name'):
                raise KeyError(
                    "PerDatasetMetric: a sample has no 'dataset_name', add it "
                    'to meta_keys of the packing transform, and to metainfo '
                    'of the dataset')
            self.metric.process(data_batch, [sample])
            self.results += [(sample['dataset_name'], one)
                             for one in self.metric.results]
            self.metric.results.clear()

    def compute_metrics(self, results: List[tuple]) -> Dict[str, float]:
        """The metrics of each dataset, in the order of the samples."""
        metrics = {}
        for name in dict.fromkeys(name for name, _ in results):
            own = self.metric.compute_metrics(
                [one for key, one in results if key == name])
            metrics.update({f'{name}/{key}': v for key, v in own.items()})
        return metrics
