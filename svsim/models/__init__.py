"""SASRec4SV: the network, its inputs, training, checkpoints and offline evaluation.

`train` makes a run from a store, `load_run` opens one, `evaluate` scores it beside refitted baselines. Nothing here knows
Gymnasium; agents use `SASRec4SV` through its scoring calls `prefill`, `step` and `score`.
"""
