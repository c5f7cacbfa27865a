# The encoder of the landmark prior.
_base_ = ['./mobilenet_112.py', '../../_base_/models/face_landmark.py']
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        _delete_=True,
        type='orsa.IRNet',
        arch={{_base_.face_landmark_arch}},
        channels_last=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='orsa://face_landmark.pth',
            prefix='backbone.')),
    head=dict(in_channels=104))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.))))
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
