# How to train the image encoder on FER+, chosen on its validation split:
#   python tools/ablate.py configs/ablations/recipes.py
_base_ = './encoders.py'
title = 'Recipes on FER+'

variants = dict(
    _delete_=True,
    votes=dict(config='./recipes/votes.py', title='votes'),
    classes=dict(config='./recipes/classes.py', title='classes as targets'),
    balanced=dict(config='./recipes/balanced.py', title='half balanced'),
    sam=dict(config='./recipes/sam.py', title='SAM, fewer epochs'),
    strong=dict(config='./recipes/strong.py', title='strong augmentation'),
    slow=dict(
        config='./recipes/slow.py', title='a third of the learning rate'),
    long=dict(config='./recipes/long.py', title='twice as long'))
reference = 'votes'
