from llmopt.tokens.counters import counter
