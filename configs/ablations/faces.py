# What each part of ORSANet-lite brings on real faces, those of $ORSA_RAFDB:
#   python tools/ablate.py
# Every choice in the variants was made by --cv, inside the training split.
_base_ = './_variants.py'

title = 'ORSANet-lite on real faces'

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

# faces that something real is in front of
subsets = {
    'real occlusion': '{{$ORSA_RAFDB:data/raf-db/}}/occlusion_test.txt',
}
