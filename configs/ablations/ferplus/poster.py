# POSTER's fusion, https://arxiv.org/abs/2204.04083, of the same encoder and
# landmark prior.
_base_ = './mcm.py'
model = dict(
    backbone=dict(parsing_prior=None),
    neck=dict(
        parsing_encoder=None,
        semantic_guidance=None,
        cross_interaction=dict(type='orsa.PosterNeck')))
