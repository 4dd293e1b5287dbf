"""Bandits: agents that learn from the rewards of what they serve, online through `observe` and from logs through `fit`.

Of one arm a video: `EpsilonGreedyAgent`, `UCB1Agent`, `KLUCBAgent`, `BetaThompsonAgent`, `GaussianThompsonAgent`,
`ExploreThenCommitAgent`. Of what an observation tells: `LinUCBAgent`, `LinTSAgent`, `LogisticThompsonAgent`,
`NeuralLinearAgent`. A batch of rows acts on the same knowledge and is learnt from together, whenever it arrives: what has
been learnt is a sum over the observed steps, so that delay costs knowledge and nothing else.
"""
