# The lite face parser on the test of face_parsing.py. For tools/test.py with
# orsa/zoo/lite_parsing.pth. It knows neither hair nor occluders.
_base_ = './lite_parsing_faces.py'

parts = [
    'left brow', 'right brow', 'left eye', 'right eye', 'nose', 'upper lip',
    'inner mouth', 'lower lip'
]
sets = (
    ('LFW Parts', '{{$ORSA_LFW_PARTS:data/lfw_parts/}}',
     ['background', ['skin', *parts], 'hair']),
    ('FASSEG', '{{$ORSA_FASSEG:data/fasseg/}}', [
        'background', ['hair', 'left brow', 'right brow'], 'skin',
        ['left eye', 'right eye'], 'nose',
        ['upper lip', 'inner mouth', 'lower lip']
    ]),
    ('MaskedFace', '{{$ORSA_MASKED_FACES:data/masked_faces/}}',
     [['background', 'hair'], ['skin', *parts], 'occluder']),
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        ignore_keys=['label_sets', 'dataset_name'],
        datasets=[
            dict(
                type='orsa.MaskFolderDataset',
                data_root=root,
                ann_file='test.txt',
                labels=labels,
                test_mode=True,
                metainfo=dict(dataset_name=name),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='Resize', scale=(64, 64), keep_ratio=False),
                    dict(type='LoadAnnotations'),
                    dict(type='orsa.AsSegSample'),
                    dict(
                        type='PackSegInputs',
                        meta_keys=('img_path', 'ori_shape', 'img_shape',
                                   'label_sets', 'dataset_name')),
                ]) for name, root, labels in sets
        ]))
test_evaluator = dict(
    _delete_=True,
    type='orsa.PerDatasetMetric',
    metric=dict(type='orsa.FaceParsingMetric'))
