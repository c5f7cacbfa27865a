# Image encoders on FER+, chosen on its validation split:
#   python tools/ablate.py configs/ablations/encoders.py
# The number of epochs of each is what one core computes in equal time.
title = 'Image encoders on FER+'

variants = dict(
    mobilenet_96=dict(
        config='./encoders/mobilenet_96.py', title='MobileNet, 96'),
    mobilenet_112=dict(
        config='./encoders/mobilenet_112.py', title='MobileNet, 112'),
    mobilenet_frozen_112=dict(
        config='./encoders/mobilenet_frozen_112.py',
        title='MobileNet, three stages frozen, 112'),
    mobilenet_norm_112=dict(
        config='./encoders/mobilenet_norm_112.py',
        title='MobileNet, three stages frozen, normalised, 112'),
    mobilenet_norm_all_112=dict(
        config='./encoders/mobilenet_norm_all_112.py',
        title='MobileNet, all stages trained and normalised, 112'),
    mobilenet_cut_112=dict(
        config='./encoders/mobilenet_cut_112.py',
        title='MobileNet without its last stage, 112'),
    dlib_112=dict(config='./encoders/dlib_112.py', title='dlib, 112'),
    dlib_cut_112=dict(
        config='./encoders/dlib_cut_112.py',
        title='dlib without its last stage, 112'),
    landmark_64=dict(
        config='./encoders/landmark_64.py', title='landmark prior, 64'),
    landmark_96=dict(
        config='./encoders/landmark_96.py', title='landmark prior, 96'),
    landmark_112=dict(
        config='./encoders/landmark_112.py', title='landmark prior, 112'),
    mobilenet_v3=dict(
        config='./encoders/mobilenet_v3_112.py',
        title='MobileNetV3-small from scratch, 112'))
reference = 'mobilenet_96'
seeds = [0]

data = dict(
    test=dict(
        type='orsa.FERPlus',
        data_root='{{$ORSA_FERPLUS:data/ferplus/}}',
        split='val',
        vote_rule='filtered',
        load=[dict(type='LoadImageFromFile')]))
num_folds = 0
priors = dict()
severities = [3]
subsets = dict()
# time limit of a training, in seconds
time_limit = 1800
