# The published ORSANet with four levels of cross-interaction.
_base_ = './orsanet_large.py'

model = dict(neck=dict(cross_interaction=dict(depth=4)))
