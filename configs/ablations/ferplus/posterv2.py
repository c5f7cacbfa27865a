# POSTER++'s fusion, https://arxiv.org/abs/2301.12149, of the same encoder and
# landmark prior. The encoder sees 128x128 pixels, for maps of 16, 8 and 4.
_base_ = './mcm.py'
prior = _base_.model.backbone.landmark_prior
model = dict(
    backbone=dict(
        _delete_=True,
        type='orsa.TwoStream',
        image_size=128,
        resize_mode='bilinear',
        channels_last=True,
        image_source=_base_.model.backbone.image_source,
        image_encoder=dict(
            _base_.model.backbone.image_encoder, out_indices=(2, 3, 4)),
        landmark_prior=dict(
            type='orsa.LandmarkPyramid',
            out_channels=(20, 40, 104),
            input_size=112,
            input_mean=prior.input_mean,
            input_std=prior.input_std,
            source=prior.source,
            # the inner maps alone, without the head behind them
            model=dict(
                prior.model.backbone,
                out_indices=(0, 1, 2),
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint='orsa://face_landmark.pth',
                    prefix='backbone.')))),
    neck=dict(
        _delete_=True,
        type='orsa.PosterV2Neck',
        image_channels=(256, 512, 1024),
        landmark_channels=(20, 40, 104),
        grid=4,
        stride=1,
        window_sizes=(4, 4, 4),
        mlp_ratio=1.,
        # begins at a tenth: 1e-5 suits two hundred epochs, not a few
        layer_scale=0.1,
        embed_dims=192,
        depth=1,
        vit_heads=4))
