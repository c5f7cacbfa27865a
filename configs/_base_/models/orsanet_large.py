# The published ORSANet at 224x224, https://arxiv.org/abs/2507.15401:
# 135.1 M parameters, 47.4 M of them trained, 22.7 GMAC per image; 152.3 M and
# 60.3 M with what the published model has and never calls.
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
        embed_dims=512,
        grid=7,
        # The published code reshapes IR-50's map into tokens that are not
        # spatial. The default for parity; 'space' is spatial.
        token_layout='memory',
        channels_last=True,
        image_source='IR-50 trained on MS-Celeb-1M: ir50.pth of the POSTER++ '
        'repository, converted by tools/model_converters/ir50.py',
        image_encoder=dict(
            type='orsa.IRNet',
            arch='ir50',
            init_cfg=dict(
                type='Pretrained',
                checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}ir50.pth')),
        parsing_prior=dict(
            type='orsa.ParsingPrior',
            output='feature',
            input_size=224,
            prepare='fuse',
            out_channels=1024,
            input_mean=mean,
            input_std=std,
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}'
            'segface_swin_b_lapa.pth',
            source='SegFace (Swin-B, LaPa, 224): model_299.pt of '
            'github.com/Kartik-3004/SegFace, converted by '
            'tools/model_converters/segface.py',
            model=dict(
                type='mmpretrain.SwinTransformer',
                arch='base',
                img_size=224,
                out_indices=(3, ),
                # of torchvision's Swin-B; without drift it is never used
                drop_path_rate=0.5,
                # the feature is taken before the last LayerNorm
                norm_cfg=None)),
        landmark_prior=dict(
            type='orsa.LandmarkPrior',
            output='feature',
            input_size=112,
            resize_mode='nearest',
            prepare='fuse',
            out_channels=512,
            input_mean=mean,
            input_std=std,
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}mobilefacenet.pth',
            source='MobileFaceNet landmarks: mobilefacenet_model_best.pth.tar '
            'of github.com/cunjian/pytorch_face_landmark, converted by '
            'tools/model_converters/mobilefacenet.py',
            model=dict(type='orsa.MobileFaceNet'))),
    neck=dict(
        type='orsa.ORSANetNeck',
        semantic_guidance=dict(
            type='orsa.SemanticGuidance',
            in_channels=512,
            condition_channels=1024,
            embed_channels=512),
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
