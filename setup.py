# Copyright (c) orsa contributors. All rights reserved.
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list:
    """The requirements of one file, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    lines = [line.split('#')[0].strip() for line in lines]
    return [line for line in lines if line]


def version() -> str:
    """The version, read without importing the package."""
    scope: dict = {}
    exec((ROOT / 'orsa' / 'version.py').read_text(), scope)
    return scope['__version__']


# what users may add, all of it in 'all'
EXTRAS = ('train', 'analysis', 'priors', 'optional', 'deploy', 'web')

setup(
    name='orsa',
    version=version(),
    description='Facial expression recognition under occlusion: ORSANet as '
    'pluggable parts in the OpenMMLab style',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='orsa contributors',
    license='Apache-2.0',
    classifiers=[
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    keywords='computer vision, facial expression recognition, occlusion',
    packages=find_packages(include=['orsa', 'orsa.*']),
    # `orsa/.mim` links to configs/, tools/ and model-index.yml: the wheel
    # gets their content, so that 'orsa::...' configs travel with it.
    package_data={
        'orsa': [
            '.mim/model-index.yml', '.mim/configs/**/*', '.mim/tools/**/*',
            'zoo/**/*', 'web/*.css', 'web/*.html', 'web/*.jpg',
            'studies/*.html', 'studies/*.json'
        ]
    },
    include_package_data=False,
    # xtcocotools 1.14.3, which priors need, does not build on 3.13, and the
    # rest is untested there
    python_requires='>=3.11,<3.13',
    entry_points={'console_scripts': ['orsa=orsa.cli:main']},
    install_requires=requirements('runtime'),
    extras_require={
        **{
            name: requirements(name)
            for name in (*EXTRAS, 'tests', 'docs')
        }, 'all': sum(map(requirements, EXTRAS), [])
    },
    zip_safe=False)
