# IR-Net, the network of face recognition, as a plain backbone of mmpretrain
# under its linear classifier. 'ir50' is the size of the papers.
_base_ = './_faces_mmpretrain.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='orsa.IRNet', arch='ir_lite'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=7,
        in_channels=128,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)))

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
