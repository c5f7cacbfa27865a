# A face parser for the lite model: the 11 LaPa classes at 112x112 and a
# quarter of that inside. 0.2 M parameters, 0.05 GMAC.
lite_parsing = dict(
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
            depths=(1, 2, 2),
            channels=(16, 32, 64),
            stem_channels=16,
            stem_stride=2),
        out_indices=(0, 1, 2)),
    decode_head=dict(
        type='mmseg.FCNHead',
        in_channels=(16, 32, 64),
        in_index=(0, 1, 2),
        input_transform='resize_concat',
        channels=32,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        # Brows, eyes and lips are a hundredth of the picture each: without
        # weights none of them is ever predicted. mmseg 1.2.2 cannot weigh
        # with ignored pixels, so there are none.
        loss_decode=dict(
            type='mmseg.CrossEntropyLoss',
            class_weight=[0.3, 0.5, 4., 4., 6., 6., 1.5, 4., 4., 4., 1.])),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
