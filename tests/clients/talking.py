"""A chat model whose words and calls are certain; the server that clients are tried on has it."""

import json

from voicebot.engines import Delta, ToolCall


class Talker:
    """Calls the first function it is offered for Rome, and tells what was returned.

    Where JSON is asked for, that is of Rome too. Otherwise it repeats what the user said and counts
    what was said before.
    """

    async def reply(self, messages, *, max_tokens=None, tools=(), must_call=False, schema=None):
        last = messages[-1]
        if tools and last.role == "user":
            call = ToolCall(f"call_{len(messages)}", tools[0].name, json.dumps({"city": "Rome"}))
            yield Delta(call=call)
            yield Delta(finish="tool_calls", tokens=(20, 5))
            return
        if schema is not None:
            yield Delta(json.dumps({"city": "Rome"}))
            yield Delta(finish="stop", tokens=(20, 5))
            return
        asked = sum(message.role == "user" for message in messages)
        said = "It returned" if last.role == "tool" else f"You said, as number {asked}:"
        words = f"{said} {last.text}".split(" ")[:max_tokens]
        for index, word in enumerate(words):
            yield Delta(word if index == 0 else f" {word}")
        yield Delta(finish="stop", tokens=(20, len(words)))
