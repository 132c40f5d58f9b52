"""A chat model that calls functions as its script has it."""

import asyncio
import json

from voicebot.engines import Delta, ToolCall

WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Scripted:
    """Says and calls all of `script` when it is asked something; what a function returned it says.

    A string is said, a dict are the arguments that `weather` is called with.
    """

    def __init__(self, *script, takes=0.05):
        self.script, self.takes, self.given, self.offered, self.calls = script, takes, [], [], 0

    async def reply(self, messages, *, max_tokens=None, tools=(), must_call=False):
        self.given.append(list(messages))
        self.offered.append(([tool.name for tool in tools], must_call))
        returned = [m.text for m in messages if m.role == "tool"][-1:]
        called = False
        for piece in returned if messages[-1].role == "tool" else self.script:
            await asyncio.sleep(self.takes)
            if isinstance(piece, str):
                yield Delta(piece)
            elif tools:
                self.calls, called = self.calls + 1, True
                yield Delta(call=ToolCall(f"call_{self.calls}", "weather", json.dumps(piece)))
        yield Delta(finish="tool_calls" if called else "stop", tokens=(20, 5))

    @property
    def asked(self):
        """What was asked last, as (role, text) or what was called."""
        return [(m.role, m.text, *(call.arguments for call in m.calls)) for m in self.given[-1]]
