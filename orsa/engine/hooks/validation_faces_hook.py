# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from orsa.registry import HOOKS
from orsa.visualization.grids import prediction_grid


@HOOKS.register_module()
class ValidationFacesHook(Hook):
    """Show the predictions for a few faces at every validation.

    One grid, :func:`orsa.visualization.draw_prediction_grid`, of equally
    many faces of each class, the first ones that come: where validation is in
    order, the same ones each time. It goes to all backends of the visualizer:
    ``LocalVisBackend`` writes ``vis_data/vis_image``, and
    ``TensorboardVisBackend`` the tab of images.

    mmpretrain's ``VisualizationHook`` adds an image for each face, takes BGR
    for RGB, and its text covers a face of 64 pixels.

    Args:
        num (int): Number of faces at most; at least one of each class.
            Defaults to 28.
        size (int): Side of a face on the grid, in pixels. Defaults to 128.
        name (str): Of the image. Defaults to 'validation_faces'.

    Raises:
        ValueError: If ``num`` is not positive.
    """

    def __init__(self,
                 num: int = 28,
                 size: int = 128,
                 name: str = 'validation_faces'):
        if num < 1:
            raise ValueError(f'num should be positive, but is {num}')
        self.num = num
        self.size = size
        self.name = name
        self._faces: Dict[int, List[Tuple]] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget the last validation."""
        self._faces = {}

    def after_val_iter(self,
                       runner: Runner,
                       batch_idx: int,
                       data_batch: Optional[dict] = None,
                       outputs: Optional[Sequence] = None) -> None:
        """Keep the first faces of each class."""
        if not is_main_process():
            return
        classes = self._classes(runner)
        per_class = -(-self.num // max(len(classes), 1))
        for image, sample in zip(data_batch['inputs'], outputs):
            label = int(sample.gt_label)
            chosen = self._faces.setdefault(label, [])
            if len(chosen) >= per_class:
                continue
            pred = int(sample.pred_label)
            chosen.append((np.ascontiguousarray(
                image.permute(1, 2, 0).cpu().numpy()).astype(np.uint8),
                           _name(classes, label), _name(classes, pred),
                           float(sample.pred_score[pred])))

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Draw the grid and hand it to the visualizer."""
        faces = [
            face for label in sorted(self._faces)
            for face in self._faces[label]
        ]
        if not faces:
            return
        sheet = prediction_grid(faces, size=self.size)
        by_epoch = isinstance(runner._train_loop, EpochBasedTrainLoop)
        runner.visualizer.add_image(
            self.name,
            np.ascontiguousarray(sheet[..., ::-1]),
            step=runner.epoch if by_epoch else runner.iter)
        self._faces = {}

    @staticmethod
    def _classes(runner: Runner) -> Sequence[str]:
        metainfo = getattr(runner.val_dataloader.dataset, 'metainfo', {})
        return metainfo.get('classes') or ()


def _name(classes: Sequence[str], index: int) -> str:
    return classes[index] if index < len(classes) else str(index)
