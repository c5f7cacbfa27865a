# 300-W, https://ibug.doc.ic.ac.uk/resources/300-W/: faces with 68 points, for
# a landmark model of mmpose. The usual split, without what most copies lack:
# where you have them, add 'lfpw/trainset' to the training and
# 'lfpw/testset' (common) and 'ibug' (challenging) to the test.
face300w = dict(
    type='orsa.Face300WDataset', data_root='{{$ORSA_300W:data/300w/}}')
face300w_train = dict(folders=['afw', 'helen/trainset'], **face300w)
face300w_test = dict(folders=['helen/testset'], test_mode=True, **face300w)
