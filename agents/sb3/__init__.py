"""stable-baselines3's algorithms as agents: trained on the SB3 face of an environment, kept without a pickle.

`svsim train sb3` makes a run, `ppo?run=RUN` (or another algorithm's name) acts by it. `networks` holds policies that score
slots with shared weights, `trunk` features of a trained SASRec4SV, `presets/*.yaml` the hyperparameters by environment and
algorithm.
"""
