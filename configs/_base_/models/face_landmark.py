# A landmark estimator at 112x112: 68 points by SimCC, the head of RTMPose,
# https://arxiv.org/abs/2303.07399, and the visibility of each.
face_landmark_arch = dict(
    depths=(1, 2, 2), channels=(20, 40, 104), stem_channels=12, stem_stride=2)

face_landmark_codec = dict(
    type='mmpose.SimCCLabel',
    input_size=(112, 112),
    sigma=4.0,
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)

face_landmark = dict(
    type='mmpose.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='mmpose.PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='orsa.IRNet', arch=face_landmark_arch, channels_last=True),
    head=dict(
        type='orsa.VisibilityHead',
        loss=dict(type='mmpose.BCELoss', loss_weight=0.1),
        pose_cfg=dict(
            type='mmpose.RTMCCHead',
            in_channels=104,
            out_channels=68,
            input_size=(112, 112),
            in_featuremap_size=(7, 7),
            simcc_split_ratio=2.0,
            final_layer_kernel_size=3,
            gau_cfg=dict(
                hidden_dims=96,
                s=48,
                expansion_factor=2,
                dropout_rate=0.,
                drop_path=0.,
                act_fn='SiLU',
                use_rel_bias=False,
                pos_enc=False),
            loss=dict(
                type='mmpose.KLDiscretLoss',
                use_target_weight=True,
                beta=10.,
                label_softmax=True),
            decoder=face_landmark_codec)),
    test_cfg=dict(flip_test=False))
