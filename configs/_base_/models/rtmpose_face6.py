# RTMPose-m trained on six face datasets, as a landmark prior of LaPa's 106
# points, https://arxiv.org/abs/2303.07399: published NME on LaPa 1.44. It
# was trained on faces with a margin of a quarter around them.
landmark_keypoints = 106

landmark_prior = dict(
    type='orsa.LandmarkPrior',
    output='keypoints',
    num_keypoints=landmark_keypoints,
    input_size=256,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    # downloaded once; may be a path to the same file
    checkpoint='https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/'
    'rtmpose-m_simcc-face6_pt-in1k_120e-256x256-72a37400_20230529.pth',
    source='RTMPose-m, face6, of mmpose (configs/face_2d_keypoint/rtmpose/'
    'face6)',
    model=dict(
        type='mmpose.TopdownPoseEstimator',
        backbone=dict(
            type='mmdet.CSPNeXt',
            arch='P5',
            expand_ratio=0.5,
            deepen_factor=0.67,
            widen_factor=0.75,
            out_indices=(4, ),
            channel_attention=True,
            # SyncBN where it was trained, which is BN to a frozen model
            norm_cfg=dict(type='BN'),
            act_cfg=dict(type='SiLU')),
        head=dict(
            type='mmpose.RTMCCHead',
            in_channels=768,
            out_channels=landmark_keypoints,
            input_size=(256, 256),
            in_featuremap_size=(8, 8),
            simcc_split_ratio=2.0,
            final_layer_kernel_size=7,
            gau_cfg=dict(
                hidden_dims=256,
                s=128,
                expansion_factor=2,
                dropout_rate=0.,
                drop_path=0.,
                act_fn='SiLU',
                use_rel_bias=False,
                pos_enc=False)),
        test_cfg=dict(flip_test=False)))
