# Copyright (c) orsa contributors. All rights reserved.
"""Which part gave the first NaN or Inf."""
