# FER+ and press_faces together at 112x112, eight classes: grey and colour,
# small and large, cut by a detector and by landmarks. The targets of FER+ are
# its votes, those of press_faces its classes. FER+'s training split is all
# used, of that of press_faces 15% of the people are held out.
_base_ = './ferplus_112.py'

ferplus = dict(
    type='orsa.FERPlus',
    data_root={{_base_.data_root}},
    vote_rule={{_base_.vote_rule}})
press = dict(
    type='orsa.RAFDB',
    data_root='{{$ORSA_RAFDB:data/press_faces/}}',
    val_split=0.15,
    classes=('neutral', 'happiness', 'surprise', 'sadness', 'anger', 'disgust',
             'fear', 'contempt'))

occlude = dict(type='orsa.RandomOccluder', prob=0.4)
# FER+'s faces lie within this of where predictions align them to
affine = dict(
    type='orsa.RandomFaceAffine',
    size=112,
    rotate=20.,
    scale_range=(0.75, 1.2),
    shift=0.08)
jitter = dict(
    type='ColorJitter',
    brightness=0.3,
    contrast=0.3,
    saturation=0.25,
    backend='cv2')
grey = [
    dict(type='LoadImageFromFile'),
    occlude,
    affine,
    jitter,
    # and what was laid over it
    dict(type='RandomGrayscale', prob=1., keep_channels=True),
    dict(type='PackInputs'),
]
colour = [
    dict(type='LoadImageFromFile'),
    # some as small as the faces of FER+, before anything is laid over them
    dict(
        type='RandomChoice',
        transforms=[[], [dict(type='mmcv.Resize', scale=(48, 48))],
                    [dict(type='mmcv.Resize', scale=(72, 72))]],
        prob=[0.6, 0.2, 0.2]),
    occlude,
    affine,
    jitter,
    dict(type='RandomGrayscale', prob=0.2, keep_channels=True),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    sampler=dict(
        _delete_=True,
        type='orsa.MultiSourceSampler',
        shares=[0.87, 0.13],
        num_samples=25060),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(split='train', targets='votes', pipeline=grey, **ferplus),
            dict(
                split='train',
                with_annotations=True,
                targets='one-hot',
                pipeline=colour,
                **press),
        ]))
# nearly all faces with labels are grey: so is what the model is asked about
load, *resize_and_pack = _base_.test_pipeline
test_pipeline = [
    load,
    dict(type='RandomGrayscale', prob=1., keep_channels=True), *resize_and_pack
]
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(split='val', pipeline=test_pipeline, **ferplus),
            dict(split='val', pipeline=test_pipeline, **press),
        ]))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
