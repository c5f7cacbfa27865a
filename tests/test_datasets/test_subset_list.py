# Copyright (c) orsa contributors. All rights reserved.
"""Which samples and labels the lines of RAN's lists mean."""
import pytest

from orsa.datasets import RAFDB
from orsa.datasets.subset_list import listed_label, read_subset


@pytest.mark.parametrize('line, label', [
    ('test_0003_aligned 3 4', 3), ('0/test_0004_aligned.jpg', 0),
    ('val/7/d0cd47749/', 7), ('6/112568af14cc.jpg', 6),
    ('1_fer0034656.png 8 0', 1), ('5/fer0032226.jpg', 5),
    ('test_0003', None), ('17', None), ('27/aa11.jpg', None)
])  # yapf: disable
def test_label_of_a_line(line, label):
    assert listed_label(line) == label


def read(tmp_path, text):
    (tmp_path / 'list.txt').write_text(text)
    return [line for _, line in read_subset(str(tmp_path / 'list.txt'))]


def test_header_counts_the_lines(tmp_path):
    rows = '0/test_0004_aligned.jpg\n4/test_0006_aligned.jpg\n'
    assert read(tmp_path, '2 7\n' + rows) == rows.split()
    # two numbers that count nothing are a name and a column
    assert read(tmp_path, '3 7\n' + rows)[0] == '3 7'
    assert read(tmp_path, '4\n1\n') == ['4', '1']


def test_file_of_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="list.txt:1: '3 7' is the header"):
        read(tmp_path, '3 7\n0\n4\n2\n')
    with pytest.raises(ValueError, match='names no sample'):
        read(tmp_path, '# nothing\n')


def test_labels_of_a_list_are_compared(faces_dir, tmp_path, logged):

    def build(path):
        logged.clear()
        return RAFDB(str(faces_dir), split='test', subset_file=str(path))

    text = (faces_dir / 'occlusion_test.txt').read_text()
    assert len(build(faces_dir / 'occlusion_test.txt')) == 125
    assert 'another class' not in ' '.join(logged)
    # the same list with the classes numbered from 1: all but none differ
    lines = [line.split() for line in text.splitlines() if line[0] != '#']
    (tmp_path / 'list.txt').write_text('\n'.join(
        f'{name} {int(label) + 1} {kind}' for name, label, kind in lines))
    assert len(build(tmp_path / 'list.txt')) == 125
    assert '125 of 125 lines of the list name another class' in ' '.join(
        logged)


def test_lists_of_a_divided_training_split(faces_dir, tmp_path, logged):
    how = dict(data_root=str(faces_dir), split='train')
    whole = RAFDB(**how)
    chosen = [whole.get_data_info(k)['name'] for k in range(0, len(whole), 10)]
    (tmp_path / 'list.txt').write_text('\n'.join(chosen))
    parts = []
    for divided in (dict(val_split=.2), dict(num_folds=5, fold=0)):
        for split in ('train', 'val'):
            part = RAFDB(
                **dict(how, split=split),
                **divided,
                subset_file=str(tmp_path / 'list.txt'))
            parts.append(
                {part.get_data_info(k)['name']
                 for k in range(len(part))})
        train, val = parts[-2:]
        assert train and val and not train & val
        assert train | val == set(chosen)
    assert 'of the other part' in ' '.join(logged)
