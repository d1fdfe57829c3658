"""`llmopt demo`: `llmopt.planner` plans for a squad of game agents, at two moments in a row.

Nothing is made up: the calls go through `llmopt.wrap`, the plans are read from the model's answers, and the
figures are those of the run. Unless a model is named a simulated one answers, and the output says so.

The command imports this package; nothing else does.
"""
