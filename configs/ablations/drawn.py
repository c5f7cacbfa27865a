# What each part of ORSANet-lite brings where there are test faces enough for
# narrow intervals: on faces drawn by the program.
#   python tools/ablate.py configs/ablations/drawn.py
_base_ = './_variants.py'

title = 'ORSANet-lite on drawn faces'

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

num_occluded = 2000
subsets = dict()
