# The two priors at 112x112 that ship, for a classifier whose data preprocessor
# has this mean and std; for another one, set `input_mean` and `input_std`.
_base_ = ['./face_parsing.py', './face_landmark.py']

face_mean = [123.675, 116.28, 103.53]
face_std = [58.395, 57.12, 57.375]

face_parsing_prior = dict(
    type='orsa.ParsingPrior',
    out_channels=80,
    input_size=112,
    mean=face_mean,
    std=face_std,
    input_mean=face_mean,
    input_std=face_std,
    checkpoint='orsa://face_parsing.pth',
    source='It is trained by configs/priors/face_parsing.py',
    model={{_base_.face_parsing}})
face_landmark_prior = dict(
    type='orsa.LandmarkPrior',
    out_channels=104,
    input_size=112,
    mean=face_mean,
    std=face_std,
    input_mean=face_mean,
    input_std=face_std,
    checkpoint='orsa://face_landmark.pth',
    source='It is trained by configs/priors/face_landmark.py',
    model={{_base_.face_landmark}})
