# The two priors at 64x64 of the first lite model, for a classifier whose data
# preprocessor has this mean and std. They have seen no real occluder.
_base_ = ['./lite_parsing.py', './lite_landmark.py']

lite_mean = [123.675, 116.28, 103.53]
lite_std = [58.395, 57.12, 57.375]

lite_parsing_prior = dict(
    type='orsa.ParsingPrior',
    out_channels=96,
    input_size=64,
    input_mean=lite_mean,
    input_std=lite_std,
    checkpoint='orsa://lite_parsing.pth',
    source='It is trained by configs/priors/lite_parsing_faces.py',
    model={{_base_.lite_parsing}})
lite_landmark_prior = dict(
    type='orsa.LandmarkPrior',
    out_channels=112,
    input_size=64,
    input_mean=lite_mean,
    input_std=lite_std,
    checkpoint='orsa://lite_landmark.pth',
    source='It is trained by configs/priors/lite_landmark_faces.py',
    model={{_base_.lite_landmark}})
