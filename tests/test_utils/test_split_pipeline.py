# Copyright (c) orsa contributors. All rights reserved.
"""A pipeline in three lists is the pipeline again when they are joined."""
import pytest
from mmengine.config import ConfigDict

from orsa.datasets import OccludeFace
from orsa.utils.configs import split_pipeline


@pytest.mark.parametrize('names, load, pack', [
    (['LoadFace', 'Resize', 'orsa.LoadCachedPriors', 'PackInputs'], 1, 1),
    (['LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs'], 2, 1),
    (['orsa.DrawSyntheticFace', OccludeFace, 'mmpretrain.PackInputs'], 1, 1),
    (['Resize', 'Collect'], 0, 0),
    ([], 0, 0),
])
def test_load_comes_first_and_pack_last(names, load, pack):
    pipeline = [ConfigDict(type=name, keys=[1]) for name in names]
    parts = split_pipeline(pipeline)
    assert parts.load + parts.transforms + parts.pack == pipeline
    assert (len(parts.load), len(parts.pack)) == (load, pack)


def test_they_are_copies():
    pipeline = [dict(type='PackInputs', meta_keys=['name'])]
    split_pipeline(pipeline).pack[0]['meta_keys'].append('fold')
    assert pipeline == [dict(type='PackInputs', meta_keys=['name'])]
