"""Every column of the usage log, in a line of its own; `schema` reads it.

A paragraph is a table or a view. Its first line is: kind | name | what one row stands for | key | since. Then
follow the columns: name | type | what it holds | since. The version that brought something is left out if it
is 1; a column has that of its table.
"""

from __future__ import annotations

TABLES = """
table | calls | One logical call of a model, whatever became of it |
id | TEXT PRIMARY KEY NOT NULL | ULID of the call: llm's response id, unless that response ran before
trace_id | TEXT | trace that the call belongs to
parent_id | TEXT | call that this one was made for
conversation_id | TEXT | id of llm's conversation
llm_turn_id | TEXT | id of llm's response: joins turns.id in llm's own log
batch_id | TEXT | batch that the call answers, in batches.id
agent | TEXT | agent that the call was made for
role | TEXT | role that the call was made in
operation | TEXT NOT NULL DEFAULT 'chat' | what was asked for, as OpenTelemetry names it
provider | TEXT | provider: the name of the model's key, or of its plugin
model_requested | TEXT NOT NULL | llm's id of the model that was called
model_resolved | TEXT | model that answered, by the provider's word
endpoint_host | TEXT | host of the model's own endpoint, if it has one
stream | INTEGER NOT NULL | 1 if the consumer asked for a stream
started_at | TEXT NOT NULL | when the call began
queue_ms | REAL | how long rate limits held it back
ttft_ms | REAL | from its beginning to the first event of the run that counts, or to a replayed answer
duration_ms | REAL NOT NULL | from its beginning to its end
input_tokens | INTEGER | input tokens of the answer, cached ones included
output_tokens | INTEGER | output tokens of the answer, reasoning included
cache_read_tokens | INTEGER | input tokens that the provider read from its prefix cache
cache_write_tokens | INTEGER | input tokens that the provider wrote to its prefix cache
reasoning_tokens | INTEGER | output tokens spent on reasoning
tokens_source | TEXT | who counted the tokens: provider, tokenizer or estimate
cost_usd_nano | INTEGER | price of all attempts in nano-dollars
price_id | INTEGER REFERENCES prices(id) | price that the cost was reckoned with
cache_outcome | TEXT | llmopt's own cache: hit, miss, stale, bypass or coalesced
tokens_before | INTEGER | input tokens before compression
tokens_after | INTEGER | input tokens after compression
compressor | TEXT | what compressed the prompt
finish_reason | TEXT | why the model stopped, by the provider's word
status | TEXT NOT NULL | ok, error, cancelled, or abandoned: the consumer closed the stream
error_type | TEXT | class of the error; its message is never kept
error_class | TEXT | kind of the error across providers: too_many_requests, timeout, auth, ...
http_status | INTEGER | HTTP status that the error carried
attempts | INTEGER NOT NULL | runs of a model that the call took; 0 if none was asked
tier | INTEGER | tier of the fallback that answered: 0 is the model itself
deadline_ms | REAL | how long the whole call was allowed to take
options_json | TEXT | options that were set; null for texts, which are not kept
tags_json | TEXT | tags of the log
schema_version | INTEGER NOT NULL | version of the schema that the row was written with
prompt_digest | TEXT | SHA-256 of all that was asked, and of which model: calls that ask the same share it | 2
usage_json | TEXT | the provider's own breakdown of the answer's tokens, as JSON | 2

table | attempts | One run of a model on behalf of a call: what providers bill | call_id, n
call_id | TEXT NOT NULL REFERENCES calls(id) | the call
n | INTEGER NOT NULL | number of the run, from 1 on
provider | TEXT | provider of the model, as in calls
model | TEXT NOT NULL | llm's id of the model that was run
started_at | TEXT NOT NULL | when the run began
ttft_ms | REAL | from its beginning to its first event
duration_ms | REAL | from its beginning to its end
status | TEXT NOT NULL | ok, error, cancelled or abandoned
error_type | TEXT | class of the error; its message is never kept
error_class | TEXT | kind of the error across providers
http_status | INTEGER | HTTP status that the error carried
retry_after_ms | REAL | how long the server asked to be left alone
wait_ms | REAL | how long the chain slept before this run
breaker_state | TEXT | state of the circuit breaker at the last run: closed, open or half-open
input_tokens | INTEGER | input tokens, cached ones included
output_tokens | INTEGER | output tokens, reasoning included
cache_read_tokens | INTEGER | input tokens that the provider read from its prefix cache
cache_write_tokens | INTEGER | input tokens that the provider wrote to its prefix cache
reasoning_tokens | INTEGER | output tokens spent on reasoning
cost_usd_nano | INTEGER | price in nano-dollars
price_id | INTEGER REFERENCES prices(id) | price that the cost was reckoned with | 2
usage_json | TEXT | the provider's own breakdown of the tokens, as JSON | 2

table | fragments | One text that calls sent or got, known by its digest |
digest | TEXT PRIMARY KEY NOT NULL | SHA-256 in hex: joins fragments.hash in llm's own log
bytes | INTEGER NOT NULL | length in UTF-8
tokens | INTEGER | length in tokens
first_seen | TEXT NOT NULL | when the first call with it began
content | TEXT | the text; kept only where that is asked for
source | TEXT | where it came from
tokens_source | TEXT | who counted its tokens: tokenizer or estimate | 2
redacted | INTEGER | 1 if something in the text was a secret, and was taken out | 2

table | call_fragments | One use of a text in a call | call_id, kind, position
call_id | TEXT NOT NULL REFERENCES calls(id) | the call
kind | TEXT NOT NULL | part of the prompt: system, prompt, context, tool, schema or reply
position | INTEGER NOT NULL | place among the fragments of that part, from 0 on
digest | TEXT NOT NULL REFERENCES fragments(digest) | the fragment

table | batches | One batch of agents that were planned for together |
id | TEXT PRIMARY KEY NOT NULL | id of the batch
n | INTEGER NOT NULL | how many agents were in it
flushed_by | TEXT | what sent it off: full, time or demand
prompt_tokens | INTEGER | tokens of its prompt
started_at | TEXT | when it began | 2
duration_ms | REAL | from its beginning to the last plan | 2
role | TEXT | role that was planned for | 2
strategy | TEXT | how its requests were cut: one_call, fanout, ... | 2

table | batch_slots | One agent's place in a batch | batch_id, slot
batch_id | TEXT NOT NULL REFERENCES batches(id) | the batch
slot | INTEGER NOT NULL | the place, from 0 on
agent_id | TEXT | the agent
call_id | TEXT REFERENCES calls(id) | the call that answered for it
plan_ok | INTEGER | 1 if its plan was valid
first_plan_ms | REAL | from the beginning of the batch to its plan
error | TEXT | what was wrong with the plan

table | prices | One price of a model, from a day on |
id | INTEGER PRIMARY KEY | number of the price
provider | TEXT NOT NULL | the provider
model | TEXT NOT NULL | the model
valid_from | TEXT | when it came into force
nano_usd_json | TEXT NOT NULL | nano-dollars per token, as decimals: input, cache_read, cache_write, output
source | TEXT | where the price was read, with its version

table | drops | Records that were lost, and why |
id | INTEGER PRIMARY KEY | number of the row
at | TEXT NOT NULL | when the loss was written down
pid | INTEGER NOT NULL | process that lost them
reason | TEXT NOT NULL | class of the error that prevented writing
records | INTEGER NOT NULL | how many

table | processes | One process that has written to this file |
id | INTEGER PRIMARY KEY | number of the row
pid | INTEGER NOT NULL | id of the process on its host
host | TEXT NOT NULL | the first half of the SHA-256 of the host's name
started_at | TEXT NOT NULL | when it wrote first
llmopt | TEXT NOT NULL | version of llmopt
llm | TEXT NOT NULL | version of llm
python | TEXT NOT NULL | version of Python
sqlite | TEXT NOT NULL | version of SQLite

table | usage_rollup | Sums of a day of calls that were removed | day, provider, model, role | 2
day | TEXT NOT NULL | the day in UTC
provider | TEXT NOT NULL | the provider, or an empty text
model | TEXT NOT NULL | the model
role | TEXT NOT NULL | role of the calls, or an empty text
calls | INTEGER NOT NULL | calls that asked for the model
not_ok | INTEGER NOT NULL | those among them that did not end well
attempts | INTEGER NOT NULL | runs of the model
billed_input_tokens | INTEGER | input tokens of the runs, cached ones included
billed_cache_read_tokens | INTEGER | those that the provider read from its prefix cache
billed_cache_write_tokens | INTEGER | those that the provider wrote to its prefix cache
billed_output_tokens | INTEGER | output tokens of the runs
cost_usd_nano | INTEGER | price of the runs in nano-dollars
served_input_tokens | INTEGER | input tokens of answers out of llmopt's own cache
served_output_tokens | INTEGER | output tokens of answers out of llmopt's own cache

table | spools | How far the spool files of all processes have been read into this file | | 2
name | TEXT PRIMARY KEY NOT NULL | name of the file in the spool folder
position | INTEGER NOT NULL | bytes of it that are in the tables

table | exports | How far the calls have been sent elsewhere | | 2
target | TEXT PRIMARY KEY NOT NULL | where they are sent
position | INTEGER NOT NULL | rowid of the last call that was sent
at | TEXT NOT NULL | when it was sent
"""

VIEWS = """
view | price_list | Prices with a column for each kind of token, in nano-dollars per token |
id | INTEGER | number of the price
provider | TEXT | the provider
model | TEXT | the model
valid_from | TEXT | when it came into force
input_nano | REAL | a token of input
cache_read_nano | REAL | one that is read from a prefix cache; like input where no price is given
cache_write_nano | REAL | one that is written to a prefix cache; like input where no price is given
output_nano | REAL | a token of output
source | TEXT | where the price was read, with its version

view | usage_daily | Calls, attempts and tokens of a day, provider, model and role, removed calls included |
day | TEXT | the day in UTC
provider | TEXT | the provider
model | TEXT | the model: asked for by the calls, run by the attempts
role | TEXT | role of the calls
calls | INTEGER | calls that asked for the model
not_ok | INTEGER | those among them that did not end well
attempts | INTEGER | runs of the model
billed_input_tokens | INTEGER | input tokens of the runs, cached ones included
billed_cache_read_tokens | INTEGER | those that the provider read from its prefix cache
billed_cache_write_tokens | INTEGER | those that the provider wrote to its prefix cache
billed_output_tokens | INTEGER | output tokens of the runs
cost_usd | REAL | price in dollars of the runs whose price is known
unpriced_attempts | INTEGER | runs with tokens and without a price: what they cost is not in the sum
served_input_tokens | INTEGER | input tokens of answers out of llmopt's own cache: not billed
served_output_tokens | INTEGER | output tokens of answers out of llmopt's own cache: not billed

view | latency | How long calls took that a model answered, by provider and model |
provider | TEXT | the provider
model | TEXT | the model that was called
measure | TEXT | what was measured: duration_ms, ttft_ms or queue_ms
calls | INTEGER | calls that it was measured of
p50_ms | REAL | half of them took no longer (nearest rank)
p95_ms | REAL | 95 of 100 took no longer
p99_ms | REAL | 99 of 100 took no longer
max_ms | REAL | the longest

view | cache_stats | What llmopt's own cache and the provider's prefix cache did, by day and model |
day | TEXT | the day in UTC
model | TEXT | the model that was called
calls | INTEGER | all calls
hits | INTEGER | answered out of the cache
stale | INTEGER | answered by an entry that had expired
coalesced | INTEGER | answered together with another call that was under way
misses | INTEGER | looked up and not found
bypassed | INTEGER | not looked up
hit_rate | REAL | hits, stale and coalesced among those looked up
served_input_tokens | INTEGER | input tokens that were not billed therefore
served_output_tokens | INTEGER | output tokens that were not billed therefore
saved_usd | REAL | what these would have cost without any prefix cache, where the price is known
provider_input_tokens | INTEGER | input tokens of the answers that came from a model
provider_cache_read_tokens | INTEGER | those that the provider read from its prefix cache
provider_cache_rate | REAL | their share

view | prefix_savings | What the prefix caches of providers saved, by day and model that was run |
day | TEXT | the day in UTC
provider | TEXT | the provider
model | TEXT | the model that was run
attempts | INTEGER | runs whose tokens are known
input_tokens | INTEGER | their input tokens
cache_read_tokens | INTEGER | those that were read from the prefix cache
cache_write_tokens | INTEGER | those that were written to it
read_rate | REAL | share of the input that was read from it
saved_usd | REAL | what reading saved, less what writing cost; unknown without a price

view | compression_savings | What compression took out of prompts, by day, role, model and compressor |
day | TEXT | the day in UTC
role | TEXT | role of the calls
model | TEXT | the model that was called
compressor | TEXT | what compressed the prompt
calls | INTEGER | compressed calls that went to a model
tokens_before | INTEGER | tokens of the compressed texts before
tokens_after | INTEGER | and after
tokens_saved | INTEGER | what was taken out
saved_rate | REAL | its share
saved_usd | REAL | what it would have cost as input that no prefix cache holds; unknown without a price

view | fragment_usage | How often texts are sent, without prompts and replies of one call alone |
digest | TEXT | SHA-256 in hex: joins fragments.hash in llm's own log
kind | TEXT | part of the prompt
calls | INTEGER | calls that have it in that part
share_of_calls | REAL | their share of all calls in the log
bytes | INTEGER | length in UTF-8
tokens | INTEGER | length in tokens
tokens_sent | INTEGER | tokens times calls
roles | TEXT | roles of these calls, with commas between them
first_seen | TEXT | when the first of these calls began
last_seen | TEXT | when the last of them began

view | top_prompts | Prompts that were asked more than once, of one model: candidates for a cache |
prompt_digest | TEXT | SHA-256 of all that was asked
model | TEXT | the model that was called
role | TEXT | a role that asked it
calls | INTEGER | how often it was asked
served | INTEGER | answered by llmopt's own cache
not_ok | INTEGER | asked and not answered
input_tokens | INTEGER | input tokens of the answers that came from a model
output_tokens | INTEGER | output tokens of these
cost_usd | REAL | what these cost
avoidable_usd | REAL | what all but the first of these cost
first_at | TEXT | when it was asked first
last_at | TEXT | when it was asked last

view | retries | Attempts that failed, and what became of the calls |
provider | TEXT | the provider
model | TEXT | the model that was run
error_class | TEXT | kind of the error
error_type | TEXT | class of the error
failures | INTEGER | attempts that failed with it
retried | INTEGER | those that were followed by another attempt
recovered | INTEGER | those whose call ended well in the end
mean_wait_ms | REAL | mean time that the chain slept before the next attempt

view | batch_stats | How batches were filled, cut and answered, by day, role and strategy |
day | TEXT | the day in UTC
role | TEXT | role that was planned for
strategy | TEXT | how the requests were cut
batches | INTEGER | how many
full | INTEGER | those that were sent off because they were full
agents | INTEGER | agents in all of them
agents_per_batch | REAL | mean number of agents
calls_per_batch | REAL | mean number of calls that a batch took, repairs included
good_plans | INTEGER | valid plans
bad_plans | INTEGER | plans that were missing or invalid
good_rate | REAL | valid plans among those that were judged
first_plan_ms | REAL | mean time from the beginning of a batch to its first plan
duration_ms | REAL | mean time from the beginning of a batch to its last plan
cost_usd | REAL | price of the calls, where it is known

view | chains | Tool loops: a call and those that answer for the tools that it asked for |
chain_id | TEXT | id of the first call
trace_id | TEXT | trace that it belongs to
conversation_id | TEXT | id of llm's conversation
role | TEXT | a role of these calls
started_at | TEXT | when the first call began
duration_ms | REAL | from then to the end of the last
model_ms | REAL | how long the calls took, one by one
calls | INTEGER | calls
not_ok | INTEGER | those among them that did not end well
served | INTEGER | those that llmopt's own cache answered
attempts | INTEGER | runs of a model
input_tokens | INTEGER | input tokens of the answers, cached ones included
cache_read_tokens | INTEGER | those that a provider read from its prefix cache
output_tokens | INTEGER | output tokens of the answers
cost_usd | REAL | price of the calls whose price is known

view | traces | Calls of a trace, as the program that made them has named it |
trace_id | TEXT | the trace
role | TEXT | a role of these calls
started_at | TEXT | when the first call began
duration_ms | REAL | from then to the end of the last
model_ms | REAL | how long the calls took, one by one
calls | INTEGER | calls
not_ok | INTEGER | those among them that did not end well
served | INTEGER | those that llmopt's own cache answered
attempts | INTEGER | runs of a model
input_tokens | INTEGER | input tokens of the answers, cached ones included
cache_read_tokens | INTEGER | those that a provider read from its prefix cache
output_tokens | INTEGER | output tokens of the answers
cost_usd | REAL | price of the calls whose price is known

view | errors | Calls that did not end well, by day and kind |
day | TEXT | the day in UTC
provider | TEXT | the provider
model | TEXT | the model that was called
status | TEXT | error, cancelled or abandoned
error_class | TEXT | kind of the error
error_type | TEXT | class of the error
http_status | INTEGER | HTTP status that the error carried
calls | INTEGER | how many
last_at | TEXT | when the last of them began
"""
