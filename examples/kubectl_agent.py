"""A helper for clusters, in the manner of vibectl: it runs kubectl, and asks a model what the output means.

python examples/kubectl_agent.py               # a stand-in for a provider, over HTTP on this machine
python examples/kubectl_agent.py -m MODEL      # one of `llm models`

A person's week is run twice: "before" with nothing but a usage log, "after" with what that log has shown.
"""

from __future__ import annotations

import argparse
import json
from os.path import commonprefix as prefix
from random import Random
from typing import Any

import llm
from llm.default_plugins.openai_models import Chat

import llmopt
from llmopt.testing.server import Answer, Request, Tokens, ToolCall, openai_server

LOG = "kubectl.db"
RUNS = ("before", "after")
DAYS = 5
USD_PER_MTOK = {"gpt-4o-mini": (0.15, 0.60, 0.075)}  # input, output, cached input: for the stand-in


def wrapped(model: Any, run: str) -> Any:
    """Wrap the model. This is all that the helper is changed for; the rest stays as it was."""
    log = llmopt.UsageLog(LOG, tags={"run": run}, prices=USD_PER_MTOK)
    if run == "before":
        return llmopt.wrap(model, log)
    return llmopt.wrap(model, log, llmopt.Cache(), llmopt.Retry(), llmopt.Compress(), llmopt.PromptCache())


# The helper

RULES = """You explain the output of kubectl to the person who has typed the command.
Answer with JSON alone: {"summary": a sentence or two, "next": a command that helps, or null}.
Name things as the output names them, with their namespace. Say first what is not healthy.
Never suggest to delete, drain or scale anything: say what to look at instead.
"""
OLD_RULES = RULES.replace("delete, drain or scale", "delete")
MEMORY = "The person works on the web shop: namespace shop, deployments web, cart, checkout and search.\n"


class Helper:
    """Answers what is typed.

    Args:
        model: the llm model.
        cluster: what it is asked about.
        mended: whether the three faults are mended that the log of the first run has shown.
    """

    def __init__(self, model: Any, cluster: Cluster, *, mended: bool) -> None:
        self.model = model
        self.cluster = cluster
        self.mended = mended
        self.typed = 0

    def get(self, what: str) -> str:
        """Explain the output of a command."""
        fragments = [MEMORY, self.cluster.kubectl(f"get {what}")]
        rules = RULES
        if not self.mended and what == "events":
            rules = OLD_RULES  # the first fault: the rules were changed, but not here
        if not self.mended and what == "deployments":
            fragments.append(MEMORY)  # the second: it is there already
        with llmopt.usage.role("get"):
            response = self.model.prompt(
                "Explain this output.", fragments=fragments, system_fragments=[rules]
            )
            return response.text()

    def talk(self, *questions: str) -> list[str]:
        """Answer questions about the pods, one after the other."""
        conversation = self.model.conversation()
        fragments, said = [MEMORY, self.cluster.kubectl("get pods")], []
        with llmopt.usage.role("talk"):
            for question in questions:
                asked = conversation.prompt(question, fragments=fragments, system_fragments=self.rules())
                said.append(asked.text())
                fragments = []
        return said

    def find_out(self, question: str) -> str:
        """Let the model run kubectl by itself until it knows."""
        with llmopt.usage.role("find out"):
            chain = self.model.chain(
                question, fragments=[MEMORY], system_fragments=self.rules(), tools=[self.cluster.kubectl]
            )
            return chain.text()

    def rules(self) -> list[str]:
        """Return the system prompt in fragments."""
        self.typed += 1
        # The third fault: what is new in each prompt stands first, and no prefix cache finds the rest.
        return [RULES] if self.mended else [f"This is command {self.typed} of the session.\n", RULES]


def week(helper: Helper) -> None:
    """Type what a person types in a week."""
    for day in range(DAYS):
        helper.cluster = Cluster(day)
        print(f" day {day + 1}")
        for what in ("pods", "deployments", "pods", "events", "pods", "deployments", "pods"):
            try:
                print(f"  get {what:12}", helper.get(what)[:76])
            except Exception as error:  # noqa: BLE001 - a person is told, and types it again
                print(f"  get {what:12}", type(error).__name__)
        for said in helper.talk("Which pods are not ready?", "Since when?", "What should I look at?"):
            print("  talk            ", said[:76])
        print("  find out        ", helper.find_out("Why does checkout not start?")[:76])


# The cluster: made up, the same in every run

APPS = ("web", "cart", "checkout", "search")


class Cluster:
    """A cluster on one day.

    Args:
        day: its number.
    """

    def __init__(self, day: int) -> None:
        self.chance = Random(day)
        pods = [self.pod(app) for app in APPS for _ in range(3)]
        sick = [pod for pod in pods if pod["metadata"]["labels"]["app"] == "checkout"]
        deployments = [self.deployment(app) for app in APPS]
        lists = {"pods": pods, "deployments": deployments, "events": [self.event(pod) for pod in sick]}
        self.lists = {
            what: {"apiVersion": "v1", "kind": "List", "items": found} for what, found in lists.items()
        }

    def kubectl(self, command: str) -> str:
        """Run a kubectl command that reads, such as "get pods" or "logs checkout", and return its output."""
        verb, _, what = command.partition(" ")
        return json.dumps(self.lists[what], indent=4) if verb == "get" else "KeyError: 'PAYMENT_URL'\n" * 3

    def pod(self, app: str) -> dict[str, Any]:
        sick = app == "checkout"
        state: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}} if sick else {"running": {}}
        restarts = self.chance.randrange(20, 90) if sick else 0
        container = {"name": app, "ready": not sick, "restartCount": restarts, "state": state}
        address = f"10.0.3.{self.chance.randrange(256)}"
        return {
            "kind": "Pod",
            "metadata": {**self.named(f"{app}-{self.chance.randrange(16**6):06x}"), "labels": {"app": app}},
            "spec": {"nodeName": f"node-{self.chance.randrange(3)}", "restartPolicy": "Always"},
            "status": {"phase": "Running", "podIP": address, "containerStatuses": [container]},
        }

    def deployment(self, app: str) -> dict[str, Any]:
        status = {"replicas": 3, "readyReplicas": 0 if app == "checkout" else 3}
        return {"kind": "Deployment", "metadata": self.named(app), "status": status}

    def event(self, pod: dict[str, Any]) -> dict[str, Any]:
        about = {"kind": "Pod", **self.named(pod["metadata"]["name"])}
        count = self.chance.randrange(2, 90)
        return {
            "kind": "Event",
            "type": "Warning",
            "reason": "BackOff",
            "count": count,
            "involvedObject": about,
        }

    def named(self, name: str) -> dict[str, Any]:
        return {"name": name, "namespace": "shop"}


# The provider that stands in for one


class Provider:
    """Answers over HTTP: it counts tokens, has a prefix cache like OpenAI's, and breaks off one answer."""

    def __init__(self) -> None:
        self.count = llmopt.tokens.counter("gpt-4o-mini").count
        self.seen: list[str] = []
        self.broken = False

    def __call__(self, request: Request) -> Answer:
        """Return the answer to one request."""
        messages = request.body["messages"]
        text = "".join(f"{message['role']}: {message.get('content') or ''}\n" for message in messages)
        if len(self.seen) == 4 and not self.broken:
            self.broken = True
            return Answer(error_in_stream=True, cut_after_chunks=0)
        shared = max((prefix([text, old]) for old in self.seen), key=len, default="")  # noqa: RUF071 - of text
        self.seen.append(text)
        reply = self.reply(messages, request.body.get("tools"))
        said: Any = {"tool_calls": [reply]} if isinstance(reply, ToolCall) else {"text": reply}
        tokens, cached = self.count(text), self.count(shared) // 128 * 128
        cached = cached if cached >= 1024 else 0
        delay_s = 0.01 + 5e-5 * (tokens - cached)
        return Answer(**said, tokens=Tokens(tokens, self.count(str(reply)), cached), delay_s=delay_s)

    def reply(self, messages: list[dict[str, Any]], tools: Any) -> str | ToolCall:
        """Return what the model says, or the tool that it calls."""
        results = sum(message["role"] == "tool" for message in messages)
        if tools and results < 2:
            return ToolCall("kubectl", {"command": ("get events", "logs checkout")[results]})
        summary = "3 of 12 pods in shop are not ready: all of checkout, in CrashLoopBackOff."
        if results:
            summary = "checkout in shop does not start: PAYMENT_URL is not set."
        return json.dumps({"summary": summary, "next": "kubectl logs deployment/checkout -n shop"})


def main(arguments: list[str] | None = None) -> None:
    """Run the week, and say where to look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", choices=RUNS, help="one of the two runs; both by default")
    parser.add_argument("-m", "--model", help="an installed llm model")
    given = parser.parse_args(arguments)
    for run in (given.run,) if given.run else RUNS:
        print(f"{run}:")
        with openai_server() as server:
            server.handler = Provider()
            stand_in = Chat("gpt-4o-mini", key="sk-local", api_base=server.url, supports_tools=True)
            model = llm.get_model(given.model) if given.model else stand_in
            week(Helper(wrapped(model, run), Cluster(0), mended=run == "after"))
    llmopt.usage.flush()
    print(SIGNPOST)


SIGNPOST = f"""
The log is {LOG}. What it says:
  llmopt report --db {LOG}        what it has cost, what was saved, what is slow, what to change
  llmopt report --db {LOG} --compare tag:run=before tag:run=after
  llmopt log tail --db {LOG}      the calls one by one"""

if __name__ == "__main__":
    main()
