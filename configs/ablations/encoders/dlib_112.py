# dlib's network of face recognition.
_base_ = './mobilenet_112.py'
model = dict(
    # of the published network, RGB
    data_preprocessor=dict(
        mean=[122.782, 117.001, 104.298], std=[256., 256., 256.]),
    backbone=dict(
        _delete_=True,
        type='orsa.DlibResNet',
        channels_last=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}face_dlib.pth')),
    head=dict(in_channels=256))
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs)
