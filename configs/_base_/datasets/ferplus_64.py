# FERPlus at 64x64 for the lite models, augmented as in rafdb_64.py. It has its
# own validation split, so that nothing is selected on the test split.
# `vote_rule` is 'majority' or 'filtered', the rule of the authors' code;
# `targets` is 'votes', their distribution for the cross-entropy, or 'classes'.
_base_ = './rafdb_64.py'

dataset_type = 'orsa.FERPlus'
data_root = '{{$ORSA_FERPLUS:data/ferplus/}}'
vote_rule = 'filtered'
targets = 'votes'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        split='train',
        vote_rule=vote_rule,
        targets=targets,
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='val',
        vote_rule=vote_rule))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        vote_rule=vote_rule))
