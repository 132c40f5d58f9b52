"""A chat model with the documents in view is given what they say, and says first what it was."""

import asyncio
from contextlib import aclosing

import pytest

from voicebot.engines import Delta, Message
from voicebot.engines.call_options import active_degradations
from voicebot.errors import EngineError
from voicebot.events import Passage
from voicebot.knowledge import DocumentIndex, RetrievalChatModel
from voicebot.knowledge.rag import FEW, LETTERS


class Parrot:
    """A chat model that tells what it was asked, and with which passages."""

    async def reply(self, messages):
        self.messages = list(messages)
        for passage in messages[-1].passages:
            yield Delta(f"[{passage.id}] ")
        yield Delta(messages[-1].text)
        yield Delta(finish="stop")


class Broken:
    async def reply(self, messages):
        yield Delta("Well, ")
        raise EngineError("llm", "the model is gone")


@pytest.fixture
def informed(tmp_path):
    """Put a chat model in front of two documents."""
    (tmp_path / "lamp.md").write_text("Light the lamp with a long match. Trim its wick on Sunday.")
    (tmp_path / "tea.md").write_text("Tea is in the blue tin.")
    (tmp_path / "boat.md").write_text("The boat is tied to the ring.")
    made = []

    def around(llm, **settings):
        made.append(RetrievalChatModel(llm, DocumentIndex(tmp_path), **settings))
        return made[-1]

    yield around
    for one in made:
        one.close()


def reply(model, *messages):
    async def collect():
        async with aclosing(model.reply(messages)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(collect())


def user(text):
    return Message("user", text)


def test_what_is_there_already_stays(informed):
    returned = Passage("clock", "It is noon.")
    parrot = Parrot()
    reply(informed(parrot), Message("user", "Where is the tea?", (returned,)))
    assert [passage.id for passage in parrot.messages[-1].passages] == ["clock", "tea.md#1"]


def text_of(deltas):
    return "".join(delta.text for delta in deltas)


def ids(delta):
    return [passage.id for passage in delta.passages]


def test_the_passages_come_first_and_reach_the_model(informed):
    deltas = reply(informed(Parrot()), user("Where is the tea?"))
    assert ids(deltas[0]) == ["tea.md#1"]
    assert deltas[0].text == ""
    assert text_of(deltas) == "[tea.md#1] Where is the tea?"
    assert deltas[-1].finish == "stop"
    assert sum(bool(delta.passages) for delta in deltas) == 1


def test_a_question_the_documents_say_nothing_about_goes_through_as_it_is(informed):
    deltas = reply(informed(Parrot()), user("Who won the football?"))
    assert deltas == [Delta("Who won the football?"), Delta(finish="stop")]


def test_the_conversation_before_reaches_the_model_unchanged(informed):
    before = [Message("system", "Be brief."), user("Hello."), Message("assistant", "Hi.")]
    parrot = Parrot()
    reply(informed(parrot), *before, user("Where is the tea?"))
    assert parrot.messages[:-1] == before


def test_a_follow_up_question_is_looked_up_with_the_one_before(informed):
    talk = [user("How do I trim the wick?"), Message("assistant", "On Sunday."), user("And how?")]
    assert ids(reply(informed(Parrot()), *talk)[0]) == ["lamp.md#1"]


def test_a_pronoun_is_looked_up_as_what_was_spoken_of(informed):
    talk = [user("Where is the boat?"), Message("assistant", "Here."), user("What is it tied to?")]
    assert ids(reply(informed(Parrot()), *talk)[0]) == ["boat.md#1"]
    talk[-1] = user("Is it blue?")
    assert ids(reply(informed(Parrot()), *talk)[0]) == ["boat.md#1", "tea.md#1"]


def test_a_question_of_its_own_is_not_mixed_with_the_one_before(informed):
    talk = [user("How do I trim the wick?"), Message("assistant", "On Sunday."), user("The tea?")]
    assert ids(reply(informed(Parrot()), *talk)[0]) == ["tea.md#1"]


def test_no_more_passages_are_used_than_the_settings_allow(informed):
    deltas = reply(informed(Parrot(), passages=1), user("Is the tea in the boat?"))
    assert len(deltas[0].passages) == 1
    talk = [user("Where is the boat?"), Message("assistant", "Here."), user("Is it blue?")]
    assert len(reply(informed(Parrot(), passages=1), *talk)[0].passages) == 1


def test_where_time_is_short_fewer_passages_are_used(informed):
    question = user("Is the tea in the boat, or is it by the lamp?")
    assert len(reply(informed(Parrot()), question)[0].passages) == 3
    before = active_degradations.set(frozenset({"fewer_passages"}))
    found = reply(informed(Parrot()), question)[0].passages
    active_degradations.reset(before)
    assert len(found) == FEW


def test_an_error_of_the_model_comes_through(informed):
    with pytest.raises(EngineError, match="llm: the model is gone"):
        reply(informed(Broken()), user("Where is the tea?"))


def test_stopping_early_closes_the_model(informed):
    closed = []

    class Endless:
        async def reply(self, messages):
            try:
                while True:
                    yield Delta("and ")
            finally:
                closed.append(True)

    async def leave():
        async with aclosing(informed(Endless()).reply([user("Where is the tea?")])) as deltas:
            async for delta in deltas:
                if delta.text:
                    break
        return list(closed)

    assert asyncio.run(leave()) == [True]


def test_one_library_serves_two_conversations_at_once(informed):
    model = informed(Parrot())

    async def ask(text):
        async with aclosing(model.reply([user(text)])) as deltas:
            return ids(await anext(deltas))

    async def both():
        return await asyncio.gather(*(ask(text) for text in ["the tea", "the boat"] * 20))

    assert asyncio.run(both()) == [["tea.md#1"], ["boat.md#1"]] * 20


class Picky(Parrot):
    """Reads the first passage only, and says so."""

    tells_passages = True

    async def reply(self, messages):
        yield Delta(passages=messages[-1].passages[:2])
        yield Delta("Yes.", finish="stop")


def test_what_the_model_was_not_given_is_not_told(informed):
    returned = Passage("clock", "It is noon.")
    asked = Message("user", "Where are the tea and the boat?", (returned,))
    told = [delta for delta in reply(informed(Picky()), asked) if delta.passages]
    assert [len(ids(delta)) for delta in told] == [1]
    assert ids(told[0])[0] in ("tea.md#1", "boat.md#1")


def test_the_weakest_passages_go_where_all_together_are_too_long(tmp_path):
    rows = "\n".join(f"| {n} | the bins of house {n} are emptied on day {n} |" for n in range(400))
    (tmp_path / "rows.md").write_text(rows)
    model = RetrievalChatModel(Parrot(), DocumentIndex(tmp_path), passages=8)
    told = reply(model, user("When are the bins of house 7 emptied?"))[0].passages
    model.close()
    assert 1 <= len(told) < 8
    assert sum(len(passage.text) for passage in told) <= LETTERS
    assert [p.score for p in told] == sorted((p.score for p in told), reverse=True)
    assert model.llm.messages[-1].passages == told
