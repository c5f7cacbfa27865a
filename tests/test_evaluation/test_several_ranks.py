# Copyright (c) orsa contributors. All rights reserved.
"""What several ranks evaluate is what one process does, bit for bit."""
import sys
from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader, Dataset

from orsa.evaluation import FERMetric

sys.path.append(str(Path(__file__).parents[1] / 'test_engine'))
from ranks import on_ranks  # noqa: E402 isort: skip

CLASSES = ('a', 'b', 'c', 'd')
BATCH = 2


class Answers(Dataset):
    """Samples that carry what a model would say of them."""

    def __init__(self, length):
        generator = torch.Generator().manual_seed(length)
        self.scores = torch.randn(length, 4, generator=generator).softmax(1)
        self.labels = torch.randint(4, (length, ), generator=generator)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        sample = DataSample(metainfo=dict(sample_idx=index))
        sample.set_field(f'{index:03}.jpg', 'img_path', field_type='metainfo')
        sample.set_gt_label(int(self.labels[index]))
        return sample.set_pred_score(self.scores[index])


def evaluate(rank, world, lengths):
    """All that FERMetric says of datasets of these lengths."""
    found = []
    for length in lengths:
        for round_up in (True, False):
            metrics = [
                FERMetric(),
                # the model has one class more than the data, in another order
                FERMetric(
                    model_classes=('d', 'b', 'x', 'a'), prefix='by_name'),
            ]
            evaluator = Evaluator(metrics)
            evaluator.dataset_meta = dict(classes=CLASSES)
            data = Answers(length)
            sampler = DefaultSampler(data, shuffle=False, round_up=round_up)
            for batch in DataLoader(
                    data, BATCH, sampler=sampler, collate_fn=pseudo_collate):
                evaluator.process(batch)
            scalars = evaluator.evaluate(length)
            assert scalars, 'every rank has the metrics'
            found.append(scalars)
            if is_main_process():
                found.append([m.predictions for m in metrics])
                found.append([m.report() for m in metrics])
    return found


@pytest.mark.parametrize('world', [2, 3])
def test_every_remainder(world):
    # from fewer samples than ranks to two full rounds of batches and more
    lengths = range(1, 2 + 2 * BATCH * world)
    single = on_ranks(evaluate, 1, lengths)[0]
    several = on_ranks(evaluate, world, lengths)
    assert several[0] == single
    for other in several[1:]:
        assert other == [s for s in single if isinstance(s, dict)]
    predictions, _ = single[-2]
    assert single[-1][0]['num_samples'] == lengths[-1] == len(predictions)
    assert len({s['name'] for s in predictions}) == lengths[-1]
