"""The learned model of users: its parts in numpy, its training in torch. `svsim.response.learned` speaks for it."""
