# Copyright (c) orsa contributors. All rights reserved.
"""Many runs and conditions, one table."""
