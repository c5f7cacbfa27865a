# ResNet-18 of mmpretrain at 64x64, from scratch as no ImageNet weights ship
# with the package. Eleven epochs take as long as the lite models.
_base_ = './ir_lite_ce_rafdb.py'

model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18),
    head=dict(in_channels=512))
train_cfg = dict(max_epochs=11)
