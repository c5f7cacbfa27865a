# A model of mmpose alone, trained with SAM and orsa's occluders
# (_faces_mmpose.py): ResNet-18 and a heatmap head for 68 landmarks. The
# occluder sets the visibility of occluded ones to 0.
_base_ = './_faces_mmpose.py'

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor={{_base_.data_preprocessor}},
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='HeatmapHead',
        in_channels=512,
        out_channels=68,
        deconv_out_channels=(128, 128, 128),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder={{_base_.codec}}),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))

# the loop needs this wrapper
optim_wrapper = dict(
    type='orsa.SAMOptimWrapper',
    rho=0.05,
    optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=20, val_interval=5)
param_scheduler = dict(
    type='MultiStepLR', milestones=[14, 18], gamma=0.1, by_epoch=True)
