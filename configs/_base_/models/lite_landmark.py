# A landmark estimator for the lite model: 68 points at 64x64 by SimCC, the
# head of RTMPose, https://arxiv.org/abs/2303.07399. 0.56 M parameters, 0.02
# GMAC. At equal time of training, 64x64 was more precise than 112x112: it
# sees two and a half times as many faces. The lite model's image encoder has
# the same layers, and starts from these weights.
lite_arch = dict(
    depths=(1, 2, 2), channels=(20, 40, 112), stem_channels=16, stem_stride=2)

lite_codec = dict(
    type='mmpose.SimCCLabel',
    input_size=(64, 64),
    sigma=4.0,
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)

lite_landmark = dict(
    type='mmpose.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='mmpose.PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='orsa.IRNet', arch=lite_arch),
    head=dict(
        type='mmpose.RTMCCHead',
        in_channels=112,
        out_channels=68,
        input_size=(64, 64),
        in_featuremap_size=(4, 4),
        simcc_split_ratio=2.0,
        final_layer_kernel_size=3,
        gau_cfg=dict(
            hidden_dims=64,
            s=32,
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
        decoder=lite_codec),
    test_cfg=dict(flip_test=False))
