# Copyright (c) orsa contributors. All rights reserved.
