# The same answer for a face and its occluded self.
_base_ = './mcm.py'
model = dict(
    type='orsa.ConsistencyClassifier',
    data_preprocessor=dict(
        type='orsa.CompanionDataPreprocessor', auxiliary_inputs=['clean_img']))
# what is laid over a face comes last
occlude, *before = _base_.train_pipeline[1:-1]
train_pipeline = [
    _base_.train_pipeline[0], *before,
    dict(type='orsa.KeepImage'), occlude,
    dict(type='PackInputs', algorithm_keys=['clean_img'])
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
