# What each part of ORSANet-lite brings where there are test faces enough for
# narrow intervals: on faces drawn by the program.
#   python tools/ablate.py configs/ablations/drawn.py
title = 'ORSANet-lite on drawn faces'

variants = dict(
    resnet18=dict(config='./resnet18.py', title='ResNet-18'),
    scratch=dict(config='./scratch.py', title='image, from nothing'),
    plain=dict(config='./plain.py', title='image'),
    landmarks=dict(config='./landmarks.py', title='+ landmarks'),
    parsing=dict(config='./parsing.py', title='+ parsing'),
    concat=dict(config='./concat.py', title='+ both, concatenated'),
    mcm=dict(config='./mcm.py', title='+ both, SPADE and MCM'),
    whole=dict(config='./whole.py', title='+ DARE: the whole'))
reference = 'plain'
seeds = [0, 1, 2]

# As many as there are real ones. The priors have been trained on faces of
# 'train'; on these they err as on those of 'test', and no folds are needed.
data = dict(
    train=dict(
        type='orsa.SyntheticFaces',
        num_samples=1280,
        split='val',
        size=128,
        load=[dict(type='orsa.DrawSyntheticFace', cache=True)]),
    test=dict(
        type='orsa.SyntheticFaces',
        num_samples=10000,
        split='test',
        size=128,
        load=[dict(type='orsa.DrawSyntheticFace')]))
num_folds = 0
priors = dict()

severities = [1, 2, 3, 4, 5]
num_occluded = 2000
subsets = dict()
time_limit = 480
