# Copyright (c) orsa contributors. All rights reserved.
"""A model without parsing and landmark priors."""
from mmengine.config import Config

from orsa.apis import init_model
from orsa.utils.classes import RAFDB_CLASSES


def plain_model(load: str = 'LoadImageFromFile',
                scale: tuple = (32, 32),
                **changes):
    """A classifier of a thousand weights, random ones.

    Args:
        load (str): The transform that loads the image.
        scale (tuple[int, int]): Width and height that it works at.
        **changes: Of the config's fields.
    """
    cfg = dict(
        model=dict(
            type='ImageClassifier',
            data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3),
            backbone=dict(
                type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(4, 8))),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=7, in_channels=8)),
        test_dataloader=dict(
            dataset=dict(
                classes=RAFDB_CLASSES,
                pipeline=[
                    dict(type=load),
                    dict(type='Resize', scale=scale),
                    dict(type='PackInputs')
                ])))
    cfg.update(changes)
    return init_model(Config(cfg))
