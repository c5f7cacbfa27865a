# A face parser at 112x112: LaPa's 11 classes and `occluder`, by the head of
# SegFormer, https://arxiv.org/abs/2105.15203, at half that size. Its datasets
# divide a face in their own ways: the marginal loss sums the probabilities of
# what a label stands for.
face_parsing = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(112, 112)),
    backbone=dict(
        type='orsa.IRNet',
        arch=dict(
            depths=(1, 1, 2, 2),
            channels=(12, 20, 40, 80),
            strides=(1, 2, 2, 2),
            stem_channels=8,
            stem_stride=2),
        channels_last=True,
        out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        type='mmseg.SegformerHead',
        in_channels=[12, 20, 40, 80],
        in_index=[0, 1, 2, 3],
        channels=24,
        dropout_ratio=0.,
        num_classes=12,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(
            type='orsa.MarginalLoss',
            # brows, eyes and lips are 1% of the image each
            class_weight=[1., 1., 2., 2., 3., 3., 1.5, 2., 2., 2., 1., 1.])),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
