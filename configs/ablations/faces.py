# What each part of ORSANet-lite brings on real faces, those of $ORSA_RAFDB:
#   python tools/ablate.py
# Every choice in the variants was made by --cv, inside the training split.
title = 'ORSANet-lite on real faces'

variants = dict(
    resnet18=dict(config='./resnet18.py', title='ResNet-18'),
    scratch=dict(config='./scratch.py', title='image, from nothing'),
    plain=dict(config='./plain.py', title='image'),
    landmarks=dict(config='./landmarks.py', title='+ landmarks'),
    parsing=dict(config='./parsing.py', title='+ parsing'),
    concat=dict(config='./concat.py', title='+ both, concatenated'),
    mcm=dict(config='./mcm.py', title='+ both, SPADE and MCM'),
    whole=dict(config='./whole.py', title='+ DARE: the whole'))
reference = 'plain'
seeds = [0, 1, 2]

# Person-disjoint. The priors are trained once without each fold: no variant is
# tested on a face that its prior has seen. They are not cross-fitted inside
# the training faces, since the variants use their inner features, and
# networks trained apart have no coordinates in common (docs/ablation.md).
num_folds = 5
priors = dict(
    parsing_prior=dict(
        config='../priors/lite_parsing_faces.py',
        checkpoint='orsa://lite_parsing.pth',
        cross_fit=False),
    landmark_prior=dict(
        config='../priors/lite_landmark_faces.py',
        checkpoint='orsa://lite_landmark.pth',
        cross_fit=False))

severities = [1, 2, 3, 4, 5]
# faces that something real is in front of
subsets = {
    'real occlusion': '{{$ORSA_RAFDB:data/raf-db/}}/occlusion_test.txt',
}
time_limit = 480
