# ORSANet for two cores: the true spatial map, and priors that say what they
# mean, parsing maps and landmarks, instead of inner features. The priors see
# 112x112; the image encoder sees 64x64 and gives 4x4 tokens: it is what
# training computes most often, twice forward and backward per step.
_base_ = ['./lite_parsing.py', './lite_landmark.py']

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
        image_size=64,
        resize_mode='bilinear',
        embed_dims=128,
        grid=4,
        token_layout='space',
        image_encoder=dict(type='orsa.IRNet', arch='ir_lite'),
        parsing_prior=dict(
            type='orsa.ParsingPrior',
            output='probs',
            num_classes=11,
            input_size=112,
            input_mean=mean,
            input_std=std,
            checkpoint='orsa://lite_parsing.pth',
            source='It is trained by configs/priors/lite_parsing_faces.py',
            model={{_base_.lite_parsing}}),
        landmark_prior=dict(
            type='orsa.LandmarkPrior',
            output='keypoints',
            num_keypoints=68,
            input_size=112,
            input_mean=mean,
            input_std=std,
            checkpoint='orsa://lite_landmark.pth',
            source='It is trained by configs/priors/lite_landmark_faces.py',
            model={{_base_.lite_landmark}})),
    neck=dict(
        type='orsa.ORSANetNeck',
        parsing_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=11,
            out_channels=64,
            hidden_channels=32,
            grid=4),
        landmark_encoder=dict(
            type='orsa.KeypointEncoder',
            num_keypoints=68,
            out_channels=128,
            hidden_channels=48,
            halvings=2,
            grid=4),
        semantic_guidance=dict(
            type='orsa.SemanticGuidance',
            in_channels=128,
            condition_channels=64,
            hidden_channels=64),
        cross_interaction=dict(
            type='orsa.MultiScaleCrossInteraction',
            embed_dims=128,
            num_tokens=16,
            num_heads=4,
            depth=2)),
    head=dict(
        type='orsa.DAREHead',
        num_classes=7,
        in_channels=128,
        # The loss of the warm-up; the schedule brings the dynamic one.
        loss=dict(
            type='orsa.CompositeLoss',
            losses=dict(
                loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
                loss_ls=dict(
                    type='mmpretrain.LabelSmoothLoss',
                    label_smooth_val=0.2,
                    loss_weight=2.)))))
