# HRNetV2-W18 trained on 300-W, as a landmark prior of its 68 points,
# https://arxiv.org/abs/1908.07919: published NME on the full set 3.45.
# output='heatmaps' gives its maps (B, 68, 64, 64) instead of their peaks.
landmark_keypoints = 68

landmark_prior = dict(
    type='orsa.LandmarkPrior',
    output='keypoints',
    num_keypoints=landmark_keypoints,
    input_size=256,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    # downloaded once; may be a path to the same file
    checkpoint='https://download.openmmlab.com/mmpose/face/hrnetv2/'
    'hrnetv2_w18_300w_256x256-eea53406_20211019.pth',
    source='HRNetV2-W18, 300-W, of mmpose (configs/face_2d_keypoint/'
    'topdown_heatmap/300w)',
    model=dict(
        type='mmpose.TopdownPoseEstimator',
        backbone=dict(
            type='mmpose.HRNet',
            in_channels=3,
            extra=dict(
                stage1=dict(
                    num_modules=1,
                    num_branches=1,
                    block='BOTTLENECK',
                    num_blocks=(4, ),
                    num_channels=(64, )),
                stage2=dict(
                    num_modules=1,
                    num_branches=2,
                    block='BASIC',
                    num_blocks=(4, 4),
                    num_channels=(18, 36)),
                stage3=dict(
                    num_modules=4,
                    num_branches=3,
                    block='BASIC',
                    num_blocks=(4, 4, 4),
                    num_channels=(18, 36, 72)),
                stage4=dict(
                    num_modules=3,
                    num_branches=4,
                    block='BASIC',
                    num_blocks=(4, 4, 4, 4),
                    num_channels=(18, 36, 72, 144),
                    multiscale_output=True),
                upsample=dict(mode='bilinear', align_corners=False))),
        neck=dict(type='mmpose.FeatureMapProcessor', concat=True),
        head=dict(
            type='mmpose.HeatmapHead',
            in_channels=270,
            out_channels=landmark_keypoints,
            deconv_out_channels=None,
            conv_out_channels=(270, ),
            conv_kernel_sizes=(1, )),
        test_cfg=dict(flip_test=False)))
