# Copyright (c) orsa contributors. All rights reserved.
"""Pictures of a finished training, from the files that it left."""
import os.path as osp
from typing import List, Optional

import torch
from mmengine.registry import DATASETS

from orsa.apis.model import load_config
from orsa.apis.testing import use_data_from
from orsa.evaluation.predictions import read_predictions
from orsa.utils.configs import scope_of
from orsa.utils.fileio import load_json
from orsa.visualization import draw_prediction_sheet, plot_curves, spread
from .common import draw_confusion


def plot_results(config: str,
                 work_dir: str,
                 predictions: str,
                 faces: int = 56,
                 cfg_options: Optional[dict] = None) -> List[str]:
    """Draw curves, confusion matrix and a sheet of test faces.

    Args:
        config (str): Config of the training.
        work_dir (str): Its work dir, with ``metrics.json`` of its test.
        predictions (str): What ``tools/test.py --out FILE.json`` wrote.
        faces (int): Faces on the sheet. Defaults to 56.
        cfg_options (dict, optional): Settings that the test was run with.
            Defaults to None.

    Returns:
        list[str]: The PNG files written. Curves are left out where the folder
        holds a test alone.
    """
    cfg = load_config(config)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    written = []

    def out(name: str) -> str:
        written.append(osp.join(work_dir, name))
        return written[-1]

    try:
        plot_curves(work_dir, osp.join(work_dir, 'curves.png'))
        written.append(osp.join(work_dir, 'curves.png'))
    except FileNotFoundError:
        pass

    metrics = load_json(osp.join(work_dir, 'metrics.json'))
    # of other metrics than FERMetric the predictions have it
    has_matrix = 'confusion_matrix' in metrics
    draw_confusion(
        osp.join(work_dir, 'metrics.json') if has_matrix else predictions,
        out('confusion_matrix.png'), osp.basename(osp.normpath(work_dir)))

    if 'data_from' in metrics:
        use_data_from(cfg, load_config(metrics['data_from']))
    with scope_of(cfg):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
    classes = dataset.metainfo['classes']
    # scores are the model's own, whose classes may be others
    outputs = metrics.get('model_classes', classes)
    records = read_predictions(predictions)
    labels = [int(r['gt_label'][0]) for r in records]
    chosen = spread(labels, faces)

    def sheet():
        for index in chosen:
            record = records[index]
            image = dataset[record.get('sample_idx', int(index))]['inputs']
            scores = torch.as_tensor(record['pred_score'])
            yield (image.permute(1, 2, 0).numpy(), classes[labels[index]],
                   outputs[int(scores.argmax())], float(scores.max()))

    draw_prediction_sheet(sheet(), out('test_faces.png'))
    return written
