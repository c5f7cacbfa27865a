# Ablation of ORSANet-lite on real faces, those of $ORSA_RAFDB:
#   python tools/ablate.py
# The variants were tuned by --cv, inside the training split.
_base_ = './_variants.py'

title = 'ORSANet-lite on real faces'

# Subject-disjoint. The priors are trained once without each fold: no variant
# is tested on a face that its prior has seen. They are not cross-fitted inside
# the training faces, since the variants use their inner features, and
# networks trained separately have no common feature space (docs/ablation.md).
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

# really occluded faces
subsets = {
    'real occlusion': '{{$ORSA_RAFDB:data/raf-db/}}/occlusion_test.txt',
}
