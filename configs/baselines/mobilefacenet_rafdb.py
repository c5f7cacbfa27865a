# MobileFaceNet, https://arxiv.org/abs/1804.07573, from the weights of its
# landmark form, which is ORSANet's landmark prior; as IR-50 otherwise.
_base_ = './ir50_ce_rafdb.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='orsa.MobileFaceNet',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}mobilefacenet.pth')),
    head=dict(in_channels=512))
