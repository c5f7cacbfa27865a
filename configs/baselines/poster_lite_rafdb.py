# POSTER's fusion at the size of ORSANet-lite: its encoders, data and schedule,
# without the parsing prior and the dynamic loss.
_base_ = '../orsanet_lite_rafdb.py'

model = dict(
    backbone=dict(parsing_prior=None),
    # ORSANet-lite's way around its fusion (`residual`) and to tokens of the
    # landmark prior serve this fusion as well
    neck=dict(
        parsing_encoder=None,
        semantic_guidance=None,
        cross_interaction=dict(type='orsa.PosterNeck')))
custom_hooks = []
