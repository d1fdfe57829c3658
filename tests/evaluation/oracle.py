"""Reads questions as a person would, from their text alone, and answers them by looking at every element."""

from __future__ import annotations

import json
import re
from math import dist

VALUE = r'("(?:[^"\\]|\\.)*"|[^\s?,]+)'
ELEMENT = re.compile(rf"the element with `([^`]+)` {VALUE} in ")
LIST = re.compile(r"the list `([^`]+)`( of )?|the outer list")
QUESTIONS = {
    "look up": re.compile(r"What is `([^`]+)` of (.+)\? Answer with the value alone\."),
    "filter": re.compile(
        rf"Which elements in (.+) have `([^`]+)` (above|below|equal to) {VALUE}\? "
        r"Answer with a JSON list of their `([^`]+)` alone, in any order\."
    ),
    "count": re.compile(
        rf"How many elements in (.+) have `([^`]+)` (above|below|equal to) {VALUE}\? "
        r"Answer with the number alone\."
    ),
    "nearest": re.compile(
        r"Which element in (.+) has (?:the point )?\(?(`.+`)\)? nearest to \(?([-\d, ]+)\)?\? "
        r"Answer with its `([^`]+)` alone\."
    ),
    "compare": re.compile(
        rf"Which has the larger `([^`]+)`: (.+), or the one with `([^`]+)` {VALUE}\? "
        r"Answer with its `([^`]+)` alone\."
    ),
}


def at(element, path):
    for key in path.split("."):
        element = element[key]
    return element


def rows(value, name):
    """The list that a name means; names are read from their end."""
    if name == "the outer list":
        return value
    path, of = re.match(r"the list `([^`]+)`(?: of (.+))?$", name).groups()
    return at(element(value, of) if of else value, path)


def element(value, name):
    match = ELEMENT.match(name)
    key, wanted, outer = match[1], json.loads(match[2]), name[match.end() :]
    (found,) = [row for row in rows(value, outer) if at(row, key) == wanted]
    return found


def matching(value, name, field, how, wanted):
    wanted = json.loads(wanted)
    test = {"above": lambda x: x > wanted, "below": lambda x: x < wanted, "equal to": lambda x: x == wanted}[
        how
    ]
    return [row for row in rows(value, name) if test(at(row, field))]


def away(groups):
    fields = re.findall("`([^`]+)`", groups[1])
    target = [int(number) for number in groups[2].split(",")]
    return lambda row: dist([at(row, field) for field in fields], target)


def distances(value, text):
    """How far the elements are that a question for the nearest is about."""
    groups = QUESTIONS["nearest"].fullmatch(text).groups()
    return sorted(map(away(groups), rows(value, groups[0])))


def answer(value, text):
    """The answer to a question about `value`."""
    ((kind, match),) = [(k, m) for k, pattern in QUESTIONS.items() if (m := pattern.fullmatch(text))]
    groups = match.groups()
    if kind == "look up":
        return at(element(value, groups[1]), groups[0])
    if kind == "filter":
        return [at(row, groups[4]) for row in matching(value, *groups[:4])]
    if kind == "count":
        return len(matching(value, *groups))
    if kind == "nearest":
        near = min(rows(value, groups[0]), key=away(groups))
        return at(near, groups[3])
    field, name, key, other, shown = groups
    first = element(value, name)
    outer = name[ELEMENT.match(name).end() :]
    (second,) = [row for row in rows(value, outer) if at(row, key) == json.loads(other)]
    return at(max(first, second, key=lambda row: at(row, field)), shown)
