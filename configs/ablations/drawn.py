# Ablation of ORSANet-lite on synthetic faces, which are enough for narrow
# confidence intervals.
#   python tools/ablate.py configs/ablations/drawn.py
_base_ = './_variants.py'

title = 'ORSANet-lite on synthetic faces'

# As many as there are real ones. The priors were not trained on these faces,
# so their errors are those of the test split, and no folds are needed.
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
