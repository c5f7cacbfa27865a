# POSTER++'s fusion at the size of ORSANet-lite: its encoders, data and
# schedule, without the parsing prior and the dynamic loss. Both encoders have
# the same stages, and all their maps are fused.
_base_ = '../orsanet_lite_rafdb.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='orsa.TwoStream',
        image_size=64,
        resize_mode='bilinear',
        channels_last=True,
        image_source='It is trained by configs/priors/lite_landmark_faces.py',
        image_encoder=dict(
            type='orsa.IRNet',
            arch={{_base_.lite_arch}},
            out_indices=(0, 1, 2),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='orsa://lite_landmark.pth',
                prefix='backbone.')),
        landmark_prior=dict(
            type='orsa.LandmarkPyramid',
            out_channels=(20, 40, 112),
            input_size=64,
            input_mean={{_base_.face_mean}},
            input_std={{_base_.face_std}},
            source='It is trained by configs/priors/lite_landmark_faces.py',
            # the inner maps alone, without the head behind them
            model=dict(
                type='orsa.IRNet',
                arch={{_base_.lite_arch}},
                out_indices=(0, 1, 2),
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint='orsa://lite_landmark.pth',
                    prefix='backbone.')))),
    neck=dict(
        _delete_=True,
        type='orsa.PosterV2Neck',
        image_channels=(20, 40, 112),
        landmark_channels=(20, 40, 112),
        # maps of 16, 8 and 4 in windows as large as the last one
        grid=4,
        stride=1,
        window_sizes=(4, 4, 4),
        mlp_ratio=2.,
        # begins at a tenth, as ORSANet-lite's fusion does: 1e-5 suits two
        # hundred epochs, not twenty
        layer_scale=0.1,
        embed_dims=96,
        depth=1,
        vit_heads=4))
custom_hooks = []
