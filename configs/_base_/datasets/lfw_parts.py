# LFW Part Labels, https://vis-www.cs.umass.edu/lfw/part_labels: photographs of
# people in the news, for a face parser. Where a label is ambiguous, it lists
# all classes that a pixel may have. Skin: face and neck, which is background
# in LaPa, and glasses. Background: hats, hands and microphones, too.
# `exclude_file` excludes identities, by lines such as 'George_W_Bush_*'.
lfw_parts = dict(
    type='orsa.MaskFolderDataset',
    data_root='{{$ORSA_LFW_PARTS:data/lfw_parts/}}',
    labels=[
        ['background', 'occluder'],
        [
            'background', 'skin', 'left brow', 'right brow', 'left eye',
            'right eye', 'nose', 'upper lip', 'inner mouth', 'lower lip',
            'occluder'
        ],
        'hair',
    ])
lfw_parts_train = dict(ann_file='train.txt', **lfw_parts)
lfw_parts_val = dict(ann_file='validation.txt', test_mode=True, **lfw_parts)
lfw_parts_test = dict(ann_file='test.txt', test_mode=True, **lfw_parts)
