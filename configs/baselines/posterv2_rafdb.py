# POSTER++ on RAF-DB, https://arxiv.org/abs/2301.12149: the model and the
# recipe of its published code. Published: 92.21, the best epoch on the test
# set; 43.7 M parameters. Here 43.75 M, 42.84 M of them trained.
_base_ = [
    '../_base_/models/orsanet_large.py', '../_base_/datasets/rafdb_224.py',
    '../_base_/schedules/sam_adam_400e.py', '../_base_/default_runtime.py'
]

mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]

model = dict(
    backbone=dict(
        _delete_=True,
        type='orsa.TwoStream',
        image_size=112,
        image_source='IR-50 trained on MS-Celeb-1M: ir50.pth of the POSTER++ '
        'repository, converted by tools/model_converters/ir50.py',
        image_encoder=dict(
            type='orsa.IRNet',
            arch='ir50',
            out_indices=(0, 1, 2),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}ir50.pth')),
        landmark_prior=dict(
            type='orsa.LandmarkPyramid',
            out_channels=(64, 128, 512),
            input_size=112,
            resize_mode='nearest',
            input_mean=mean,
            input_std=std,
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}mobilefacenet.pth',
            source='MobileFaceNet landmarks: mobilefacenet_model_best.pth.tar '
            'of github.com/cunjian/pytorch_face_landmark, converted by '
            'tools/model_converters/mobilefacenet.py',
            model=dict(type='orsa.MobileFaceNet', out_indices=(0, 1, 2)))),
    neck=dict(_delete_=True, type='orsa.PosterV2Neck'),
    head=dict(
        in_channels=768,
        loss=dict(_delete_=True, type='mmpretrain.CrossEntropyLoss')))

train_dataloader = dict(
    batch_size=144,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
optim_wrapper = dict(optimizer=dict(lr=3.5e-5))
train_cfg = dict(max_epochs=200)
custom_hooks = []
auto_scale_lr = dict(base_batch_size=144)
