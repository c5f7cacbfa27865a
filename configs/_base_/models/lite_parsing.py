# A face parser for the lite model: the 11 LaPa classes at 64x64, by the head
# of SegFormer, https://arxiv.org/abs/2105.15203, which mixes the stages by
# 1x1 convolutions at half that size. 0.33 M parameters, 0.05 GMAC.
lite_parsing = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(64, 64)),
    backbone=dict(
        type='orsa.IRNet',
        arch=dict(depths=(1, 2, 2), channels=(16, 32, 96), stem_channels=12),
        out_indices=(0, 1, 2)),
    decode_head=dict(
        type='mmseg.SegformerHead',
        in_channels=[16, 32, 96],
        in_index=[0, 1, 2],
        channels=48,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        # Brows, eyes and lips are 1% of the image each: without class
        # weights none of them is ever predicted. mmseg 1.2.2 does not
        # support class weights with ignored pixels, so there are none.
        loss_decode=dict(
            type='mmseg.CrossEntropyLoss',
            class_weight=[0.55, 0.7, 2., 2., 2.5, 2.5, 1.2, 2., 2., 2., 1.])),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
