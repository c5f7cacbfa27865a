# FERPlus at 224x224, as rafdb_224.py. It has its own validation split, so that
# nothing is selected on the test split. `vote_rule` is 'majority' or
# 'filtered', the rule of the authors' code.
_base_ = './rafdb_224.py'

dataset_type = 'orsa.FERPlus'
data_root = '{{$ORSA_FERPLUS:data/ferplus/}}'
vote_rule = 'filtered'
classes = [
    'neutral', 'happiness', 'surprise', 'sadness', 'anger', 'disgust', 'fear',
    'contempt'
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        vote_rule=vote_rule,
        metainfo=dict(classes=classes)))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='val',
        vote_rule=vote_rule,
        metainfo=dict(classes=classes)))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        vote_rule=vote_rule,
        metainfo=dict(classes=classes)))
