# Copyright (c) orsa contributors. All rights reserved.
"""Small questions to a config."""
import hashlib
import json


def type_name(cfg: dict) -> str:
    """The name of the class that a config builds, without its scope.

    Args:
        cfg (dict): With ``type``, 'orsa.RAFDB' or the class itself.
    """
    kind = cfg['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def config_hash(obj) -> str:
    """SHA-256, in hex, of a config or of anything that JSON can say."""
    obj = obj.to_dict() if hasattr(obj, 'to_dict') else obj
    text = json.dumps(obj, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
