# Copyright (c) orsa contributors. All rights reserved.
"""``tools/dist_train.sh`` of two machines, both of which are this one."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys

WORKER = """
import json, os, sys
import torch.distributed as dist
dist.init_process_group('gloo')
found = [None] * dist.get_world_size()
dist.all_gather_object(found, [dist.get_rank(), os.environ['LOCAL_RANK'],
                               os.environ['GROUP_RANK'], sys.argv[1:]])
if dist.get_rank() == 0:
    print(json.dumps(found))
# without it a thread of gloo may still run at the end, and abort
dist.barrier()
dist.destroy_process_group()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_ranks_of_two_machines(repo_root, tmp_path):
    words = ['CONFIG']
    script = shutil.copy(repo_root / 'tools/dist_train.sh', tmp_path)
    (tmp_path / 'train.py').write_text(WORKER)
    settings = dict(
        os.environ,
        NNODES='2',
        MASTER_ADDR='127.0.0.1',
        PORT=str(free_port()),
        PYTHON=sys.executable)
    machines = [
        subprocess.Popen(['bash', script, *words, '1', '--work-dir', 'w'],
                         env=dict(settings, NODE_RANK=str(rank)),
                         stdout=subprocess.PIPE,
                         text=True) for rank in range(2)
    ]
    outputs = [machine.communicate(timeout=600)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    given = [*words, '--launcher', 'pytorch', '--work-dir', 'w']
    # a process on each machine, of one group of two
    assert json.loads(outputs[0]) == [[0, '0', '0', given],
                                      [1, '0', '1', given]]
    assert outputs[1] == ''


def test_tests_are_started_in_the_same_way(repo_root):
    settings = [
        re.findall('--n.*|--m.*', (repo_root / 'tools' / name).read_text())
        for name in ('dist_train.sh', 'dist_test.sh')
    ]
    assert settings[0] == settings[1] and len(settings[0]) == 4
