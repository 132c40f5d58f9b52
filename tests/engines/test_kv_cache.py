"""Conversations that take turns on one llama.cpp context: the real library, on real files."""

import asyncio
import re
from contextlib import aclosing

import pytest

llama_cpp = pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from miniatures.gguf import build  # noqa: E402 - after the skips

from voicebot.concurrency.worker import due  # noqa: E402
from voicebot.engines import Message, load  # noqa: E402
from voicebot.engines.llama.kv_cache import WORTH, KVCache, token_bytes  # noqa: E402


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return str(build(tmp_path_factory.mktemp("gguf") / "tiny.gguf"))


@pytest.fixture
def engine(file):
    engines = []

    def make(**settings):
        settings = {"model": file, "threads": 1, "temperature": 0, "max_tokens": 16, **settings}
        engines.append(load("llm", "llama", **settings))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


async def read(engine, messages):
    async with aclosing(engine.reply(messages)) as deltas:
        return "".join([delta.text async for delta in deltas])


def talk(name, turns):
    """The messages that a conversation of so many turns asks to be answered, one after another."""
    said = [Message("system", f"You know about {name}s. " * 4)]
    for turn in range(turns):
        said.append(Message("user", f"What about {name} number {turn}? " * 5))
        yield list(said)
        said.append(Message("assistant", f"It is a {name}."))


def alternating(turns=4):
    """Prompts of two conversations, taking turns."""
    return [
        prompt
        for pair in zip(talk("cat", turns), talk("dog", turns), strict=True)
        for prompt in pair
    ]


def computed(caplog):
    """Tokens of each prompt that had to be computed."""
    found = re.findall(r"prompt of (\d+) tokens, (\d+) of them kept", caplog.text)
    return [int(all_) - int(kept) for all_, kept in found]


def test_conversations_that_take_turns_compute_what_is_new_and_no_more(engine, caplog):
    caplog.set_level("DEBUG", "voicebot.engines.llama.engine")

    async def all_of(model, prompts):
        for messages in prompts:
            await read(model, messages)

    asyncio.run(all_of(engine(), talk("cat", 4)))
    alone = computed(caplog)
    caplog.clear()
    asyncio.run(all_of(engine(), alternating()))

    assert computed(caplog)[::2] == alone
    assert max(alone[1:]) < alone[0]


def test_what_was_put_aside_changes_nothing_in_the_answer(engine):
    async def warm_and_fresh():
        model = engine()
        warm = [await read(model, messages) for messages in alternating(3)]
        return warm, [await read(engine(), messages) for messages in alternating(3)]

    warm, fresh = asyncio.run(warm_and_fresh())
    assert warm == fresh
    assert len(set(warm)) > 1


def test_a_reply_is_parked_for_one_due_sooner_and_goes_on_as_if_nothing_had_been(engine, caplog):
    caplog.set_level("DEBUG", "voicebot.engines.llama.engine")
    [cat], [dog] = talk("cat", 1), talk("dog", 1)

    async def parked():
        model, order, begun = engine(max_tokens=200), [], asyncio.Event()

        async def reply(name, messages, when):
            due.set(when)
            text = ""
            async with aclosing(model.reply(messages)) as deltas:
                async for delta in deltas:
                    text += delta.text
                    order.append(name)
                    begun.set()
            return text

        # The cat's listener has enough to hear once there is a word.
        long = asyncio.create_task(reply("cat", cat, lambda: 9.0 if begun.is_set() else 1.0))
        await begun.wait()
        short = asyncio.create_task(reply("dog", dog, lambda: 2.0))
        return await long, await short, order

    async def alone():
        return [await read(engine(max_tokens=200), messages) for messages in (cat, dog)]

    *texts, order = asyncio.run(parked())
    counts = computed(caplog)
    assert texts == asyncio.run(alone())
    assert "".join(name[0] for name in order).strip("c").strip("d") == ""
    assert order[-1] == "cat"
    assert len(counts) == 3
    assert counts[2] == 1, "what had been said was put aside, not computed again"


def test_short_chats_that_take_turns_at_every_token_compute_nothing_twice(engine, caplog):
    caplog.set_level("DEBUG", "voicebot.engines.llama.engine")
    names = "abcd"

    async def at_once():
        model = engine(grammar='root ::= "A sailor went."')
        written = dict.fromkeys(names, 0)

        async def reply(name):
            # Who has written less is due sooner.
            due.set(lambda: float(written[name]))
            messages = [Message("system", "Be brief. " * 4), Message("user", f"Say {name}.")]
            async with aclosing(model.reply(messages)) as deltas:
                async for _ in deltas:
                    written[name] += 1

        await asyncio.gather(*map(reply, names))

    asyncio.run(at_once())
    first, *others = computed(caplog)
    assert len(others) > len(names), "they took turns"
    assert sum(count > 1 for count in others) == len(names) - 1, "each prompt is read once"
    assert max(others) < first / 2, "and what all begin with is read once for all"


def test_what_a_token_takes_put_aside_is_known_beforehand(file):
    llm = llama_cpp.Llama(file, n_ctx=512, verbose=False)
    llm.eval([*range(40, 240)] * 2)
    size = llama_cpp.llama_state_seq_get_size(llm.ctx, 0)
    assert size / 400 == pytest.approx(token_bytes(llm), rel=0.2)


def test_the_copies_take_no_more_room_than_there_is(file):
    llm = llama_cpp.Llama(file, n_ctx=512, verbose=False)

    def stored(*ids, room):
        """How much of the first is known after the others were asked for."""
        states = KVCache(llm, room)
        for each in [*ids, ids[0]]:
            known = states.recall(each[:-1], keep=True)
            llm.eval(each[llm.n_tokens :])
        return known

    one, two, three = ([start, *range(40, 240)] for start in (1, 2, 3))
    llm.eval(one)
    size = llama_cpp.llama_state_seq_get_size(llm.ctx, 0)
    assert stored(one, two, room=size) == 200
    assert stored(one, two, three, room=2 * size) == 200
    assert stored(one, two, three, room=size) == 0
    assert stored(one, two, room=size // 2) == 0


def test_what_is_computed_in_a_moment_is_not_put_aside(file):
    llm = llama_cpp.Llama(file, n_ctx=512, verbose=False)
    states = KVCache(llm)
    for each in (one := [1, *range(40, 40 + WORTH - 2)]), [2, 3, 4]:
        states.recall(each[:-1], keep=True)
        llm.eval(each[llm.n_tokens :])
    assert states.recall(one, keep=True) == 0
