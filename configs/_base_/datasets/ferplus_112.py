# FERPlus at 112x112, augmented as in rafdb_64.py, and occluders grey as the
# faces. It has its own validation split, so that nothing is selected on the
# test split.
# `vote_rule` is 'majority' or 'filtered', the rule of the authors' code;
# `targets` is 'votes', their distribution for the cross-entropy, or 'classes'.
_base_ = './rafdb_112.py'

dataset_type = 'orsa.FERPlus'
data_root = '{{$ORSA_FERPLUS:data/ferplus/}}'
vote_rule = 'filtered'
targets = 'votes'

train_pipeline = [
    dict(t, prob=1.) if t.type == 'RandomGrayscale' else t
    for t in _base_.train_pipeline
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        split='train',
        vote_rule=vote_rule,
        targets=targets,
        pipeline=train_pipeline))
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
