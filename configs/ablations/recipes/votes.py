# The recipe of the encoders' study: votes as targets, all faces alike.
_base_ = '../encoders/mobilenet_frozen_112.py'
