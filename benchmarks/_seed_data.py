"""What the seed prompt says, as data in our own words: 37 tools, 44 parameters, rules, examples, a scene."""

from __future__ import annotations

from typing import Any

from llmopt.compress.roles.tool_spec import ToolSpec

_of = ToolSpec.of
TOOLS: dict[str, tuple[ToolSpec, ...]] = {
    "MOVEMENT": (
        _of("move_to(x:int, y:int)", "walk to a cell by the shortest free way"),
        _of("approach(id:int)", "close in on a target without attacking it"),
        _of("retreat(id:int)", "back away from a target, facing it"),
        _of("take_cover(x:int, y:int)", "crouch behind the obstacle at a cell"),
        _of("strafe(id:int, side:left|right)", "circle a target without losing aim", cooldown_s=1),
        _of("patrol(points:int[])", "walk a route of cells until something happens"),
    ),
    "OFFENSIVE": (
        _of("attack(id:int)", "shoot at an enemy with the weapon in hand"),
        _of("aimed_shot(id:int)", "take a slow shot that rarely misses", cooldown_s=3),
        _of("quick_shot(id:int)", "take a fast shot that often misses", cooldown_s=1),
        _of("melee(id:int)", "hit an enemy within arm's reach", cooldown_s=2),
        _of("rush(id:int)", "run straight at an enemy and hit it", cooldown_s=10),
        _of("cover_fire(id:int)", "keep an enemy's head down for an ally", cooldown_s=4),
        _of(
            "throw(item:smoke|grenade, x:int, y:int)",
            "throw a smoke or a frag grenade to a cell",
            cooldown_s=8,
        ),
        _of("volley(x:int, y:int, radius?:int)", "fire at everything within an area", cooldown_s=15),
    ),
    "DEFENSIVE": (
        _of("block()", "take less damage from the front"),
        _of("dodge(side:left|right)", "jump out of the line of fire", cooldown_s=3),
        _of("shield(seconds?:int)", "raise the energy shield for a while", cooldown_s=30),
        _of("brace()", "steady the weapon for the next shot"),
        _of("heal()", "treat your own wounds in a safe place", cooldown_s=20),
        _of("revive(id:int)", "bring a fallen ally back to its feet", cooldown_s=10),
    ),
    "EQUIPMENT": (
        _of("equip(item:str)", "take an item from the bag in hand"),
        _of("swap_weapon(slot:int)", "change to the weapon in another slot", cooldown_s=1),
        _of("reload()", "fill the magazine of the weapon in hand"),
        _of("use_item(item:str, id?:int)", "use an item on yourself or on an ally"),
        _of("drop_item(item:str)", "leave an item on the ground for others"),
    ),
    "TACTICAL": (
        _of("mark(id:int)", "show an enemy to the whole squad"),
        _of("joint_attack(id:int)", "attack a target together with the squad", cooldown_s=12),
        _of("request_cover(seconds?:int)", "ask the squad for covering fire", cooldown_s=5),
        _of("call_backup(count?:int)", "ask headquarters to send more agents", cooldown_s=60),
        _of("regroup(x:int, y:int)", "gather the whole squad at a cell"),
        _of("ambush(x:int, y:int)", "lie in wait for enemies at a cell"),
        _of("distract(x:int, y:int)", "make a noise at a cell to lure enemies", cooldown_s=12),
    ),
    "UTILITY": (
        _of("scan(radius:int)", "look for enemies and items all around"),
        _of("wait(seconds:int)", "stay where you are and do nothing"),
        _of("interact(k:str)", "open, use or inspect a point of interest"),
        _of("ability(name:str, id?:int)", "use one of your special skills", cooldown_s=25),
        _of("taunt()", "draw the fire of all enemies in sight", cooldown_s=15),
    ),
}

SCENE: dict[str, Any] = {
    "t": 0.0,
    "player": {"hp": 100, "pos": {"x": 2, "y": 2}, "stance": "crouch", "orders": ["hold_east"]},
    "me": {"ammo": 30, "cooldowns": {"throw:smoke": 0.0}, "morale": 0.8, "pos": {"x": 2, "y": 3}},
    "enemies": [{"id": 3, "pos": {"x": 12, "y": 2}, "hp": 60, "cover": "low", "last_seen": 0.0}],
    "pois": [{"k": "breach_door", "pos": {"x": 15, "y": 8}}],
    "obstacles": [{"x": 6, "y": y} for y in range(1, 9)],
    "objective": "extract",
}


def _example(why: str, state: dict[str, Any], plan: list[list[Any]], reasoning: str) -> dict[str, Any]:
    return {"scenario": why, "state": state, "plan": plan, "reasoning": reasoning}


EXAMPLES: tuple[dict[str, Any], ...] = (
    _example(
        "Enemy in the open, close by",
        {
            "me": {"ammo": 24, "hp": 90, "pos": {"x": 4, "y": 4}},
            "enemies": [{"id": 7, "pos": {"x": 7, "y": 5}, "hp": 40}],
        },
        [["take_cover", 5, 4], ["attack", 7]],
        "Cover costs one step and the enemy is weak, so hide first and then shoot.",
    ),
    _example(
        "Magazine empty under fire",
        {
            "me": {"ammo": 0, "hp": 70, "pos": {"x": 9, "y": 2}},
            "enemies": [{"id": 2, "pos": {"x": 14, "y": 2}, "hp": 80}],
        },
        [["throw", "smoke", 12, 2], ["reload"], ["attack", 2]],
        "Without ammunition no attack is possible; smoke buys the time to reload.",
    ),
    _example(
        "Badly hurt, two enemies",
        {
            "me": {"ammo": 12, "hp": 20, "pos": {"x": 3, "y": 8}},
            "enemies": [
                {"id": 4, "pos": {"x": 6, "y": 8}, "hp": 100},
                {"id": 5, "pos": {"x": 8, "y": 9}, "hp": 100},
            ],
        },
        [["retreat", 4], ["take_cover", 1, 9], ["heal"]],
        "Two fresh enemies win against a wounded agent, so get away and heal.",
    ),
    _example(
        "Ally down behind enemy fire",
        {
            "me": {"ammo": 18, "hp": 85, "pos": {"x": 6, "y": 6}},
            "allies": [{"id": 11, "pos": {"x": 8, "y": 6}, "hp": 0}],
        },
        [["throw", "smoke", 8, 7], ["move_to", 8, 6], ["revive", 11]],
        "Smoke hides both while the ally is brought back.",
    ),
    _example(
        "Objective near, nobody in sight",
        {
            "me": {"ammo": 30, "hp": 100, "pos": {"x": 13, "y": 7}},
            "pois": [{"k": "breach_door", "pos": {"x": 15, "y": 8}}],
        },
        [["scan", 10], ["move_to", 15, 8], ["interact", "breach_door"]],
        "A look around is cheap before the door is opened.",
    ),
)

# What is wanted, and each rule, in the words of the long prompt and of the short one; "" where another rule
# says it.
ANSWER = {
    "long": (
        "You are the planner of an agent in our squad game. "
        "Always answer with one single JSON object of exactly this shape:\n"
        '{"plan_id": "unique_string", "reasoning": "one short sentence", '
        '"steps": [{"act": "name_of_action", "x": 10, "y": 5, "id": 3}]}'
    ),
    "short": "Plan for an agent in a squad game. "
    'Answer: {"plan_id":str,"reasoning":str,"steps":[[tool,arg,...],...]}',
}
TASK = "You plan for a combat agent: read the state of the world, choose tools, and answer with one plan."
RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "client": (
        ("Available actions: move_to, throw, cover_fire, revive, and those listed below.", ""),
        ("Give no explanation outside of the JSON object. Keep plans short and safe.", "short, safe plans"),
    ),
    "system": (
        ("Use ONLY tools of the list below; a plan with any other is refused.", "only these tools"),
        ("Give every REQUIRED parameter, with the type that it has.", "all args, but ? ones may be absent"),
        ("NEVER use a tool whose cooldown is still running.", "no tool whose cooldown (s) runs"),
        ("Target ONLY enemies and allies in the world state, by id.", "ids from the state"),
        ("Work towards the objective, and obey the player's orders.", "serve the objective, obey orders"),
    ),
    "schema": (
        ('Every step has a field "act" with the exact name of a tool as it is listed, in lower case.', ""),
        ('Parameters stand beside "act" in the same object, never in an object "args" of their own.', ""),
        (
            "Numbers are JSON numbers without quotes; positions and ids are whole numbers, never text.",
            "whole numbers",
        ),
        ("A plan has at least 1 and at most 5 steps, and they are done in that order.", "1-5 steps in order"),
    ),
    "output": (
        ("Answer with the JSON object alone: no Markdown, no code fences, no comments.", "nothing but JSON"),
        (
            'CORRECT: {"plan_id": "p1", "reasoning": "look first", "steps": [{"act": "scan", "radius": 10}]}',
            "",
        ),
        ('WRONG (fence): ```json {"plan_id": "p1", "steps": []} ```', ""),
        ('WRONG (unknown tool, prose): Here is my plan: {"act": "fly_away", "target": "the moon"}', ""),
    ),
}
