"""What the usage log's file holds: one line per column, which the DDL and the documentation are made from.

Times are ISO-8601 in UTC with microseconds, durations milliseconds, money integer nano-dollars. No text of
a prompt or a reply stands in any column but `fragments.content`, which is empty unless it is asked for. A
column that is unknown is NULL, never zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VERSION = 2
"""The newest version of the schema; a column or index says since which version it is there."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table or a view.

    Attributes:
        name: its name.
        type: its SQL type, with the constraints of a table's column.
        description: what it holds, in one line.
        since: the version of the schema that brought it.
    """

    name: str
    type: str
    description: str
    since: int = 1


@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view.

    Attributes:
        name: its name.
        description: what one row stands for.
        columns: its columns in order.
        key: the primary key of a table that has more than one column in it.
        view: whether it is a view; its query is in `views`.
        since: the version of the schema that brought it.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: str = ""
    view: bool = False
    since: int = 1


def describe() -> tuple[Relation, ...]:
    """Return every table and view of the usage log with its columns, for documentation and tools.

    Example:
        >>> [relation.name for relation in describe() if relation.view][:2]
        ['usage_daily', 'latency']
    """
    return tuple(_relations())


def _relations() -> Iterator[Relation]:
    for paragraph in _SCHEMA.strip().split("\n\n"):
        head, *lines = paragraph.splitlines()
        kind, name, description, key, *since = (cell.strip() for cell in head.split("|"))
        first = int(since[0]) if since else 1
        columns = tuple(_column(line, first) for line in lines)
        yield Relation(name, description, columns, key, kind == "view", first)


def _column(line: str, first: int) -> Column:
    name, type_, description, *since = (cell.strip() for cell in line.split("|"))
    return Column(name, type_, description, int(since[0]) if since else first)


@dataclass(frozen=True, slots=True)
class Index:
    """One index.

    Attributes:
        name: its name.
        on: the table and the columns.
        where: the condition of a partial index: rows without a value are not worth a place in it.
        since: the version of the schema that brought it.
    """

    name: str
    on: str
    where: str = ""
    since: int = 1


INDEXES = (
    Index("calls_started_at", "calls (started_at)"),
    Index("calls_model", "calls (model_resolved, started_at)", "model_resolved IS NOT NULL"),
    Index("calls_role", "calls (role, started_at)", "role IS NOT NULL"),
    Index("calls_not_ok", "calls (status, started_at)", "status <> 'ok'"),
    Index("call_fragments_digest", "call_fragments (digest)"),
)

# kind | name | what one row stands for | key | since, if not 1; then: column | type | description | since
_SCHEMA = """
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
digest | TEXT NOT NULL REFERENCES fragments(digest) | the fragment
kind | TEXT NOT NULL | part of the prompt: system, prompt, context, tool, schema or reply
position | INTEGER NOT NULL | place among the fragments of that part, from 0 on

table | batches | One batch of agents that were planned for together |
id | TEXT PRIMARY KEY NOT NULL | id of the batch
n | INTEGER NOT NULL | how many agents were in it
flushed_by | TEXT | what sent it off: full, time or demand
prompt_tokens | INTEGER | tokens of its prompt
started_at | TEXT | when it began | 2
duration_ms | REAL | from its beginning to the last plan | 2
role | TEXT | role that was planned for | 2
strategy | TEXT | how its requests were cut: one_call, fan_out, ... | 2

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

view | usage_daily | Calls, attempts and tokens of a day, provider, model and role |
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
cost_usd | REAL | price of the runs in dollars
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
provider_input_tokens | INTEGER | input tokens of the answers that came from a model
provider_cache_read_tokens | INTEGER | those that the provider read from its prefix cache
provider_cache_rate | REAL | their share

view | retries | Attempts that failed, and what became of the calls |
provider | TEXT | the provider
model | TEXT | the model that was run
error_class | TEXT | kind of the error
error_type | TEXT | class of the error
failures | INTEGER | attempts that failed with it
retried | INTEGER | those that were followed by another attempt
recovered | INTEGER | those whose call ended well in the end
mean_wait_ms | REAL | mean time that the chain slept before the next attempt

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
