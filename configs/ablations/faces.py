# Ablation of ORSANet-lite on real faces, those of $ORSA_RAFDB:
#   python tools/ablate.py
# The variants were tuned by --cv, inside the training split.
_base_ = './_variants.py'

title = 'ORSANet-lite on real faces'

# Subject-disjoint. The priors are the same in each fold: they have learned
# from landmarks and masks of these faces among others, never from a label of
# an expression.
num_folds = 5
priors = dict()

# really occluded faces
subsets = {
    'real occlusion': '{{$ORSA_RAFDB:data/raf-db/}}/occlusion_test.txt',
}
