# SegFace with a Swin-B for the 11 classes of LaPa at 224x224, as a parsing
# prior that gives masks, https://arxiv.org/abs/2412.08647: 91.0 M parameters,
# none of them trained.
segface_lapa = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(224, 224)),
    # mmpretrain's: mmseg's normalizes its outputs, and the published
    # decoder reads the raw stages
    backbone=dict(
        type='mmpretrain.SwinTransformer',
        arch='base',
        img_size=224,
        out_indices=(0, 1, 2, 3),
        # of torchvision's Swin-B; without drift it is never used
        drop_path_rate=0.5,
        norm_cfg=None),
    decode_head=dict(
        type='orsa.SegFaceHead',
        in_channels=(128, 256, 512, 1024),
        channels=256,
        num_classes=11,
        num_layers=2,
        num_heads=8),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

parsing_prior = dict(
    type='orsa.ParsingPrior',
    output='probs',
    num_classes=11,
    input_size=224,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}'
    'segface_swin_b_lapa_masks.pth',
    source='SegFace (Swin-B, LaPa, 224): swinb_lapa_224/model_299.pt of '
    'huggingface.co/kartiknarayan/SegFace, converted by '
    'tools/model_converters/segface.py --with-decoder',
    model=segface_lapa)
