# Rare classes more often, half way to equal numbers.
_base_ = './votes.py'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='orsa.ClassBalancedSampler', power=0.5))
