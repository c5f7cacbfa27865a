# The face parser at 112x112, from datasets whose labels differ: photographs of
# people in the news (LFW Part Labels), in a studio (FASSEG), with a surgical
# mask (MaskedFaceSegmentation), with landmarks (300-W, $ORSA_RAFDB) and
# synthetic ones. Skin is that of the face and the neck, since two of them
# divide no further. Occluders are pasted on where landmarks say how.
_base_ = ['../_base_/models/face_parsing.py', './_runtime.py']

# Without a fold, for validation by occlusion_awareness.py.
press_faces = dict(
    type='orsa.RAFDB',
    data_root='{{$ORSA_RAFDB:data/raf-db/}}',
    split='train',
    num_folds=5,
    fold=0,
    with_annotations=True)

default_scope = 'mmseg'

model = {{_base_.face_parsing}}

max_epochs = 30
train_cfg = dict(
    type='orsa.EpochTrainLoop', max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-5,
        convert_to_iter_based=True),
]

lists = '{{ fileDirname }}/lists'
lfw_root = '{{$ORSA_LFW_PARTS:data/lfw_parts/}}'
fasseg_root = '{{$ORSA_FASSEG:data/fasseg/}}'
masked_root = '{{$ORSA_MASKED_FACES:data/masked_faces/}}'

parts = [
    'left brow', 'right brow', 'left eye', 'right eye', 'nose', 'upper lip',
    'inner mouth', 'lower lip'
]
lfw_labels = ['background', ['skin', *parts], 'hair']
# of faces with something in front of them: glasses are skin, hands background
lfw_occluded_labels = [['background', 'occluder'],
                       ['skin', *parts, 'occluder'], ['hair', 'occluder']]
fasseg_labels = [
    'background', ['hair', 'left brow', 'right brow'], 'skin',
    ['left eye', 'right eye'], 'nose',
    ['upper lip', 'inner mouth', 'lower lip']
]
# the neck is background there
masked_labels = [['background', 'hair', 'skin'], ['skin', *parts], 'occluder']
masked_test_labels = [['background', 'hair'], ['skin', *parts], 'occluder']
# LaPa's eleven; of a face mesh, without hair and neck
mesh_labels = [['background', 'skin', 'hair'], 'skin', *parts, 'hair']
drawn_labels = [['background', 'skin'], 'skin', *parts, 'hair']

load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
occlude = dict(
    type='orsa.RandomOccluder',
    prob=0.5,
    # what is in front of faces in photographs, and a little of all else
    kinds=dict(
        hand=6,
        hat=5,
        sunglasses=4,
        object=4,
        texture=2,
        mask=1,
        scarf=1,
        block=1,
        crop=0.5,
        patches=0.5,
        square=0.5,
        grid=0.5),
    own_hand=0.6)
as_sample = dict(type='orsa.AsSegSample')


def affine(**kwargs):
    """Move a face, once, which is also the resize."""
    return dict(
        type='orsa.RandomFaceAffine', size=112, rotate=25., prob=1., **kwargs)


around_landmarks = affine(
    region='landmarks', scale_range=(0.7, 1.7), shift=0.12)
augment = [
    dict(type='mmseg.PhotoMetricDistortion', hue_delta=8),
    # small faces too, made larger
    dict(
        type='mmpretrain.GaussianBlur',
        magnitude_range=(0.2, 2.),
        magnitude_std='inf',
        prob=0.3),
    dict(type='mmcv.RandomGrayscale', prob=0.4, keep_channels=True),
    # as many pixels as the head gives
    dict(type='orsa.EncodeLabelSets', stride=2),
    dict(type='PackSegInputs'),
]
whole_photograph = [
    *load, as_sample,
    affine(scale_range=(0.9, 1.2), shift=0.05), *augment
]
# from there to the face alone
lfw_pipeline = [
    *load, as_sample,
    affine(scale_range=(0.9, 2.5), shift=0.08), *augment
]
studio_pipeline = [
    *load, as_sample,
    affine(scale_range=(0.7, 1.7), shift=0.1), *augment
]
landmark_pipeline = [
    load[0], around_landmarks,
    dict(type='orsa.ParseLandmarks'), occlude, as_sample, *augment
]
mesh_pipeline = [*load, occlude, as_sample, around_landmarks, *augment]
drawn_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True), as_sample,
    around_landmarks, *augment
]

lfw_clear = dict(
    type='orsa.MaskFolderDataset',
    data_root=lfw_root,
    ann_file='train.txt',
    exclude_file=f'{lists}/lfw_parts_train_occluded.txt',
    labels=lfw_labels)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(
        type='orsa.MultiSourceSampler',
        # in the order of the datasets
        shares=[0.2, 0.14, 0.08, 0.1, 0.08, 0.18, 0.11, 0.04, 0.07],
        num_samples=4800),
    dataset=dict(
        type='mmengine.ConcatDataset',
        ignore_keys=['label_sets'],
        datasets=[
            dict(pipeline=whole_photograph, **lfw_clear),
            dict(pipeline=lfw_pipeline, **lfw_clear),
            dict(
                type='orsa.MaskFolderDataset',
                data_root=lfw_root,
                ann_file=f'{lists}/lfw_parts_train_occluded.txt',
                labels=lfw_occluded_labels,
                pipeline=lfw_pipeline),
            dict(
                type='orsa.MaskFolderDataset',
                data_root=fasseg_root,
                ann_file='train.txt',
                labels=fasseg_labels,
                pipeline=studio_pipeline),
            dict(
                type='orsa.MaskFolderDataset',
                data_root=masked_root,
                ann_file='train.txt',
                labels=masked_labels,
                pipeline=studio_pipeline),
            dict(
                type='orsa.FaceParsingDataset',
                from_landmarks=True,
                faces=dict(
                    type='orsa.Face300WDataset',
                    data_root='{{$ORSA_300W:data/300w/}}',
                    folders=['afw', 'helen/trainset']),
                # none, sunglasses and headwear
                occlusion_file=f'{lists}/300w_train_occluded.txt',
                occlusions=[0, 2, 4],
                pipeline=landmark_pipeline),
            dict(
                type='orsa.FaceParsingDataset',
                faces=press_faces,
                # none, and glasses: the mesh ignores all else
                occlusion_file=f'{lists}/press_faces_train_occluded.txt',
                occlusions=[0, 1],
                labels=mesh_labels,
                pipeline=mesh_pipeline),
            dict(
                type='orsa.FaceParsingDataset',
                from_landmarks=True,
                faces=press_faces,
                # sunglasses and headwear
                occlusion_file=f'{lists}/press_faces_train_occluded.txt',
                occlusions=[2, 4],
                pipeline=landmark_pipeline),
            dict(
                type='orsa.FaceParsingDataset',
                faces={{_base_.drawn_train}},
                labels=drawn_labels,
                pipeline=drawn_pipeline),
        ]))

# the mask stays at the size of the file
test_pipeline = [
    load[0],
    dict(type='Resize', scale=(112, 112), keep_ratio=False),
    load[1],
    as_sample,
    dict(
        type='PackSegInputs',
        meta_keys=('img_path', 'ori_shape', 'img_shape', 'label_sets',
                   'dataset_name')),
]


def test_on(*datasets):
    """Several datasets one after the other, whose labels differ."""
    return dict(
        batch_size=1,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mmengine.ConcatDataset',
            ignore_keys=['label_sets', 'dataset_name'],
            datasets=[
                dict(
                    type='orsa.MaskFolderDataset',
                    data_root=root,
                    ann_file=ann_file,
                    labels=labels,
                    test_mode=True,
                    metainfo=dict(dataset_name=name),
                    pipeline=test_pipeline)
                for name, root, ann_file, labels in datasets
            ]))


val_dataloader = test_on(('LFW Parts', lfw_root, 'validation.txt', lfw_labels))
test_dataloader = test_on(
    ('LFW Parts', lfw_root, 'test.txt', lfw_labels),
    ('FASSEG', fasseg_root, 'test.txt', fasseg_labels),
    ('MaskedFace', masked_root, 'test.txt', masked_test_labels))
val_evaluator = dict(
    type='orsa.PerDatasetMetric', metric=dict(type='orsa.FaceParsingMetric'))
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
