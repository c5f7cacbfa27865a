# ORSANet at its full size with interpretable priors: the masks of a face
# parser and the landmarks of a pose estimator, both of OpenMMLab's kind,
# instead of inner features; and the spatial map of IR-50. 155.1 M parameters,
# 47.1 M of them trained, 27.8 GMAC per image.
_base_ = [
    './segface_lapa.py',
    # For another landmark prior change this line: './rtmpose_t_face6.py'
    # (106 points, a quarter of the cost), './hrnetv2_w18_300w.py' (68
    # points) or './hrnetv2_w18_wflw.py' (98 points).
    './rtmpose_face6.py',
]

# the normalization that the priors assume, see input_mean of orsa.FrozenPrior
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=mean,
        std=std,
        to_rgb=True,
        num_classes=7),
    backbone=dict(
        type='orsa.ORSANet',
        image_size=112,
        resize_mode='bilinear',
        embed_dims=512,
        grid=7,
        token_layout='space',
        image_source='IR-50 trained on MS-Celeb-1M: ir50.pth of the POSTER++ '
        'repository, converted by tools/model_converters/ir50.py',
        image_encoder=dict(
            type='orsa.IRNet',
            arch='ir50',
            init_cfg=dict(
                type='Pretrained',
                checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}ir50.pth')),
        parsing_prior={{_base_.parsing_prior}},
        landmark_prior={{_base_.landmark_prior}}),
    neck=dict(
        type='orsa.ORSANetNeck',
        # both are rendered at 56x56
        parsing_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=11,
            out_channels=256,
            hidden_channels=64,
            halvings=3,
            grid=7),
        landmark_encoder=dict(
            type='orsa.KeypointEncoder',
            num_keypoints={{_base_.landmark_keypoints}},
            out_channels=512,
            hidden_channels=128,
            halvings=3,
            grid=7),
        semantic_guidance=dict(
            type='orsa.SemanticGuidance',
            in_channels=512,
            condition_channels=256),
        cross_interaction=dict(
            type='orsa.MultiScaleCrossInteraction',
            embed_dims=512,
            num_tokens=49,
            depth=8)),
    head=dict(
        type='orsa.DAREHead',
        num_classes=7,
        in_channels=512,
        # The loss of the warm-up; the schedule brings the dynamic one.
        loss=dict(
            type='orsa.CompositeLoss',
            losses=dict(
                loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
                loss_ls=dict(
                    type='mmpretrain.LabelSmoothLoss',
                    label_smooth_val=0.2,
                    loss_weight=2.)))))
