# POSTER's fusion at the size of ORSANet-lite: its encoders, data and schedule,
# without the parsing prior and the dynamic loss.
_base_ = '../orsanet_lite_rafdb.py'

model = dict(
    backbone=dict(parsing_prior=None),
    # `residual` and the tokens of the landmark prior as in ORSANet-lite
    neck=dict(
        parsing_encoder=None,
        semantic_guidance=None,
        cross_interaction=dict(type='orsa.PosterNeck')))
custom_hooks = []
