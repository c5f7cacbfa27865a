# ORSANet around a network that has learned to recognise people, with the two
# priors, all at 112x112. Like the lite model it uses their inner features.
_base_ = './face_priors.py'

# what the published network takes, RGB
start_mean = [123.68, 116.779, 103.939]
start_std = [1., 1., 1.]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=start_mean,
        std=start_std,
        to_rgb=True,
        num_classes=8),
    backbone=dict(
        type='orsa.ORSANet',
        image_size=112,
        embed_dims=192,
        grid=4,
        token_layout='space',
        channels_last=True,
        image_source='It is made by tools/model_converters/face_start.py',
        image_encoder=dict(
            type='orsa.MobileNetV1',
            channels_last=True,
            # chosen on validation: configs/ablations/encoders.py
            norm=True,
            init_cfg=dict(
                type='Pretrained', checkpoint='orsa://face_start.pth')),
        parsing_prior=dict(
            _base_.face_parsing_prior,
            input_mean=start_mean,
            input_std=start_std),
        landmark_prior=dict(
            _base_.face_landmark_prior,
            input_mean=start_mean,
            input_std=start_std)),
    neck=dict(
        type='orsa.ORSANetNeck',
        residual=192,
        parsing_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=80,
            out_channels=64,
            halvings=0,
            norm_input=True,
            grid=4),
        landmark_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=104,
            out_channels=192,
            halvings=0,
            norm_input=True,
            grid=4),
        semantic_guidance=dict(
            type='orsa.SemanticGuidance',
            in_channels=192,
            condition_channels=64,
            hidden_channels=64),
        cross_interaction=dict(
            type='orsa.MultiScaleCrossInteraction',
            embed_dims=192,
            num_tokens=16,
            num_heads=4,
            depth=1)),
    head=dict(
        type='orsa.DAREHead',
        num_classes=8,
        in_channels=192,
        loss=dict(
            type='orsa.CompositeLoss',
            losses=dict(loss_ce=dict(type='mmpretrain.CrossEntropyLoss')))))
