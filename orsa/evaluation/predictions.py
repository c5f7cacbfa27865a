# Copyright (c) orsa contributors. All rights reserved.
"""What a model said of every face, written and read as JSON."""
import os.path as osp
from typing import List

from mmengine.evaluator import DumpResults
from mmengine.logging import print_log

from orsa.utils.fileio import dump_json, load_json

_HOW = ('make it with tools/test.py CONFIG CHECKPOINT --out FILE.json')


class DumpPredictions(DumpResults):
    """MMEngine's ``DumpResults``, which writes JSON if asked for a ``.json``.

    A pickle can run code where it is read: orsa's own tools read the JSON
    alone. The pickle is for other programs.

    Args:
        out_file_path (str): A path that ends in .json, .pkl or .pickle.

    Raises:
        ValueError: If it ends otherwise.
    """

    def __init__(self, out_file_path: str, **kwargs):
        self.as_json = out_file_path.endswith('.json')
        if not out_file_path.endswith(('.json', '.pkl', '.pickle')):
            raise ValueError(f"--out should end in .json (or .pkl), but got "
                             f"'{out_file_path}'")
        # through the process group: no folder has to be shared
        kwargs.setdefault('collect_device', 'gpu')
        super().__init__('x.pkl' if self.as_json else out_file_path, **kwargs)
        self.out_file_path = out_file_path

    def compute_metrics(self, results: list) -> dict:
        """Write what was collected."""
        if not self.as_json:
            return super().compute_metrics(results)
        dump_json(dict(predictions=results), self.out_file_path)
        print_log(
            f'Results has been saved to {self.out_file_path}.',
            logger='current')
        return {}


def read_predictions(path: str) -> List[dict]:
    """Read what ``tools/test.py --out FILE.json`` wrote.

    Args:
        path (str): The file.

    Returns:
        list[dict]: By face ``gt_label`` (a list of one), ``pred_label``,
        ``pred_score`` (a list of C), and what the pipeline packs of it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such JSON file. Pickles are not read.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no '{path}': {_HOW}")
    if path.endswith(('.pkl', '.pickle')):
        raise ValueError(f"'{path}' is a pickle, which can run code where it "
                         f'is read, and is not read: {_HOW}')
    content = load_json(path)
    records = content.get('predictions') if isinstance(content, dict) else None
    good = isinstance(records, list) and all(map(_is_prediction, records))
    if not good or len({len(r['pred_score']) for r in records}) != 1:
        raise ValueError(f"'{path}' is not a file of predictions: {_HOW}")
    return records


def _is_prediction(record) -> bool:
    """Whether a record has a label and finite scores."""
    if not isinstance(record, dict):
        return False
    label, scores = record.get('gt_label'), record.get('pred_score')
    return (isinstance(label, list) and len(label) == 1
            and isinstance(label[0], int) and isinstance(scores, list)
            and 0 <= label[0] < 1 << 20
            and all(isinstance(s, (int, float)) for s in scores))
