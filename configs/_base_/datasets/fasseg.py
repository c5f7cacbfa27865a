# FASSEG, https://github.com/massimomauro/FASSEG-repository: faces in a studio,
# frontal and rotated, for a face parser. Its hair class includes the brows,
# its skin class the neck, which is background in LaPa.
fasseg = dict(
    type='orsa.MaskFolderDataset',
    data_root='{{$ORSA_FASSEG:data/fasseg/}}',
    labels=[
        'background',
        ['hair', 'left brow', 'right brow'],
        ['skin', 'background'],
        ['left eye', 'right eye'],
        'nose',
        ['upper lip', 'inner mouth', 'lower lip'],
    ])
fasseg_train = dict(ann_file='train.txt', **fasseg)
fasseg_test = dict(ann_file='test.txt', test_mode=True, **fasseg)
