# The complete model: ORSANet-lite as it ships.
_base_ = '../orsanet_lite_rafdb.py'
