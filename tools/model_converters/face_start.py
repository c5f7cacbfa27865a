# Copyright (c) orsa contributors. All rights reserved.
"""Convert a network of face recognition, the start of an image encoder.

  npm pack @vladmandic/human       # package/models/faceres.json
  npm pack @vladmandic/face-api    # package/model/face_recognition_model-...
"""
from orsa.prepare.convert import convert_face_start, main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(lambda: main(convert_face_start, __doc__))
