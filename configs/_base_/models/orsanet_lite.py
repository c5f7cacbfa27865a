# ORSANet for two cores: a small image encoder at 64x64, initialized from a
# landmark model, beside the two priors at 112x112. It uses their inner
# features, which predict expressions better than the masks and landmarks that
# the priors were trained for (docs/ablation.md); their heads are there to
# visualize both.
_base_ = ['./face_priors.py', './lite_landmark.py']

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean={{_base_.face_mean}},
        std={{_base_.face_std}},
        to_rgb=True,
        num_classes=7),
    backbone=dict(
        type='orsa.ORSANet',
        image_size=64,
        resize_mode='bilinear',
        embed_dims=96,
        grid=4,
        token_layout='space',
        channels_last=True,
        image_source='It is trained by configs/priors/lite_landmark_faces.py',
        image_encoder=dict(
            type='orsa.IRNet',
            arch={{_base_.lite_arch}},
            init_cfg=dict(
                type='Pretrained',
                checkpoint='orsa://lite_landmark.pth',
                prefix='backbone.')),
        parsing_prior={{_base_.face_parsing_prior}},
        landmark_prior={{_base_.face_landmark_prior}}),
    neck=dict(
        type='orsa.ORSANetNeck',
        residual=96,
        parsing_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=80,
            out_channels=48,
            halvings=0,
            norm_input=True,
            grid=4),
        landmark_encoder=dict(
            type='orsa.MapEncoder',
            in_channels=104,
            out_channels=96,
            halvings=0,
            norm_input=True,
            grid=4),
        semantic_guidance=dict(
            type='orsa.SemanticGuidance',
            in_channels=96,
            condition_channels=48,
            hidden_channels=48),
        cross_interaction=dict(
            type='orsa.MultiScaleCrossInteraction',
            embed_dims=96,
            num_tokens=16,
            num_heads=4,
            depth=1)),
    head=dict(
        type='orsa.DAREHead',
        num_classes=7,
        in_channels=96,
        # The loss of the warm-up; the schedule brings the dynamic one.
        loss=dict(
            type='orsa.CompositeLoss',
            losses=dict(
                loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
                loss_ls=dict(
                    type='mmpretrain.LabelSmoothLoss',
                    label_smooth_val=0.2,
                    loss_weight=2.)))))
