"""Small modules behind the notebooks: models and specs in, labelled HappyMaps out."""

import gc
import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if gc.isenabled():  # of its 3 s, the import would spend 0.6 on searching for garbage it never makes
    gc.disable()
    import keras  # noqa: F401

    gc.enable()
