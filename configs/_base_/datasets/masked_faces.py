# MaskedFaceSegmentation over MaskedFace-Net and FFHQ: faces with a surgical
# mask, worn well or badly, for a face parser. Skin: the visible face with
# eyes, brows, nose, lips and glasses.
masked_faces = dict(
    type='orsa.MaskFolderDataset',
    data_root='{{$ORSA_MASKED_FACES:data/masked_faces/}}',
    labels=[
        ['background', 'hair', 'occluder'],
        [
            'skin', 'left brow', 'right brow', 'left eye', 'right eye', 'nose',
            'upper lip', 'inner mouth', 'lower lip', 'occluder'
        ],
        'occluder',
    ])
masked_faces_train = dict(ann_file='train.txt', **masked_faces)
masked_faces_test = dict(ann_file='test.txt', test_mode=True, **masked_faces)
