# IR-Net as a backbone of mmpose, under its heatmap head.
_base_ = './_faces_mmpose.py'

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor={{_base_.data_preprocessor}},
    # 4x4 for 64x64, upsampled by two deconvolutions to the codec's 16x16
    backbone=dict(type='orsa.IRNet', arch='ir_lite'),
    head=dict(
        type='HeatmapHead',
        in_channels=128,
        out_channels=68,
        deconv_out_channels=(96, 96),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder={{_base_.codec}}),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = dict(
    type='MultiStepLR', milestones=[14, 18], gamma=0.1, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5)
