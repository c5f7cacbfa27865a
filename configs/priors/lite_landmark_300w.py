# The lite landmark model on the test of face_landmark.py: HELEN's test set, as
# it is and with an occluder. For tools/test.py and orsa://lite_landmark.pth.
_base_ = './lite_landmark_faces.py'

load = [
    dict(type='LoadImageFromFile'),
    dict(
        type='orsa.RandomFaceAffine',
        size=112,
        region='landmarks',
        flip_prob=0.,
        prob=0.),
]
pack = [
    dict(type='orsa.AsPoseSample'),
    dict(type='GetBBoxCenterScale', padding=1.0),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale', 'flip',
                   'flip_direction', 'flip_indices', 'dataset_name')),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        ignore_keys=['dataset_name'],
        datasets=[
            dict(
                type='orsa.Face300WDataset',
                data_root='{{$ORSA_300W:data/300w/}}',
                folders=['helen/testset'],
                test_mode=True,
                metainfo=dict(dataset_name='HELEN test' + suffix),
                pipeline=[*load, *occlude, *pack])
            for suffix, occlude in (('', []), (
                ' occluded', [dict(type='orsa.OccludeFace', severity=3)]))
        ]))
test_evaluator = dict(
    _delete_=True,
    type='orsa.PerDatasetMetric',
    metric=dict(
        type='mmpose.NME',
        norm_mode='keypoint_distance',
        keypoint_indices=[36, 45]))
