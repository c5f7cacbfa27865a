# ORSANet small on RAF-DB.
_base_ = './orsanet_rafdb.py'

model = dict(neck=dict(cross_interaction=dict(depth=4)))
