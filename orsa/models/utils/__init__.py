# Copyright (c) orsa contributors. All rights reserved.
"""What several parts of models share."""
