# SAM, whose step takes twice as long: half the epochs, rounded up.
_base_ = './votes.py'
optim_wrapper = dict(type='orsa.SAMOptimWrapper', rho=0.05)
max_epochs = 2
train_cfg = dict(
    _delete_=True,
    type='orsa.SAMTrainLoop',
    max_epochs=max_epochs,
    val_interval=1)
