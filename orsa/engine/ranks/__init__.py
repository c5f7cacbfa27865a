# Copyright (c) orsa contributors. All rights reserved.
"""Several processes, and what goes wrong between them."""
