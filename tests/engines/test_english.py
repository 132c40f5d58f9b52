"""How English is read aloud for Kokoro and hibari, word by word."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("hibari")

from voicebot.engines.english import english
from voicebot.engines.phonemes import VOCABULARY
from voicebot.normalize import readings


def heard(text: str, british: bool = False) -> str:
    return "".join(word.phonemes for word in english(british).read(text)).strip()


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("It costs $3.50.", "ˌɪt kˈɔsts θɹˈi dˈɑləɹz ænd fˈɪfti sˈɛnts."),
        ("They paid $2.5 million.", "ðˌA pˈAd tˈu pYnt fˈIv mˈɪljᵊn dˈɑləɹz."),
        ("I will record a record.", "ˌI wɪl ɹəkˈɔɹd ɐ ɹˈɛkəɹd."),
        ("I read it yesterday.", "ˌI ɹˈɛd ɪt jˈɛstəɹdˌA."),
        ("I want to read.", "ˌI wˈɑnt tə ɹˈid."),
        ("Close the door; we are close to it.", "klˈOz ðə dˈɔɹ; wi ɑɹ klˈOs tʊ ɪt."),
        ("The wind will wind the clock.", "ðə wˈɪnd wɪl wˈInd ðə klˈɑk."),
        ("We present the present.", "wˌi pɹizˈɛnt ðə pɹˈɛzᵊnt."),
        ("He used to use it, a good use.", "hˌi jˈust tə jˈuz ɪt, ɐ ɡˈʊd jˈus."),
        ("Eat the apple and the pear.", "ˈit ði ˈæpᵊl ænd ðə pˈɛɹ."),
        ("NASA and the U.S. agree.", "nˈæsə ænd ðə jˌuˈɛs əɡɹˈi."),
        ("A well-known café", "ɐ wˌɛlnˈOn kæfˈA"),
        ("Nothing -- really", "nˈʌθɪŋ — ɹˈiᵊli"),
        ("Ask Kubrick (badly)", "ˈæsk kˈʊbɹɪk (bˈædli)"),
        ('She said "Yes." ("No," said I.)', "ʃˌi sˈɛd “jˈɛs.” (“nˈO,” sˈɛd ˈI)."),
        ("We meet at 6 p.m.", "wˌi mˈit æt sˈɪks pˌiˈɛm."),
        ("We meet at 6 p.m. today.", "wˌi mˈit æt sˈɪks pˌiˈɛm tədˈA."),
    ],
)
def test_english_is_read_as_kokoro_learnt_it(text: str, phonemes: str) -> None:
    assert heard(text) == phonemes


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("He lives in Paris.", "hˌi lˈɪvz ɪn pˈɛɹəs."),
        ("the people that live here", "ðə pˈipᵊl ðæt lˈɪv hˈɪɹ"),
        ("It consists of it.", "ˌɪt kənsˈɪsts ʌv ɪt."),
        ("It uses two.", "ˌɪt jˈuzᵻz tˈu."),
        ("a close friend", "ɐ klˈOs fɹˈɛnd"),
        ("Come closer to me.", "kˈʌm klˈOsəɹ tə mˌi."),
        ("the US government", "ðə jˌuˈɛs ɡˈʌvəɹnmənt"),
        ("The WHO said so.", "ðə dˌʌbᵊljuˌAʧˈO sˈɛd sˌO."),
        ("It is used to make bread.", "ˌɪt ɪz jˈuzd tə mˌAk bɹˈɛd."),
        ("5G is faster", "fˈIv ʤˈi ɪz fˈæstəɹ"),
        ("at 6am sharp", "æt sˈɪks ˌAˈɛm ʃˈɑɹp"),
        ("5 EUR", "fˈIv jˈʊɹOz"),
        ("mid-1960s", "mˌɪdnˌIntˈin sˈɪkstiz"),
        ("a re-opened case", "ɐ ɹˌiˈOpᵊnd kˈAs"),
        ("CO2", "sˌiˈO tˈu"),
        ("two CPUs", "tˈu sˌipˌijˈuz"),
        ("the PDFs", "ðə pˌidˌiˈɛfs"),
        ("the NFL's rules", "ði ˌɛnˌɛfˈɛlz ɹˈulz"),
        ("vitamin A", "vˈITəmən ˈA"),
        ("on 12/31/2025", "ˌɔn disˈɛmbəɹ θˌɜɹTifˈɜɹst, twˈɛnti twˈɛntifˌIv"),
        ("5 m2", "fˈIv skwˈɛɹ mˈiTəɹz"),
        ("80 km/h", "ˈATi kəlˈɑməTəɹz pɜɹ ˈWəɹ"),
        ("Mt. Everest", "mˈWnt ˈɛvəɹɪst"),
        ("Ft. Worth", "fˈɔɹt wˈɜɹθ"),
        ("Gen. Lee", "ʤˈɛnəɹəl lˈi"),
        ("Fig. 3", "fˈɪɡjəɹ θɹˈi"),
        ("2 tsp", "tˈu tˈispˌunz"),
        ("A sentence.Second one.", "ɐ sˈɛntᵊns. sˈɛkənd wˈʌn."),
        ("3 × 4", "θɹˈi tˈImz fˈɔɹ"),
        ("8 ÷ 2", "ˈAt dəvˈIdᵻd bI tˈu"),
        ("3 > 2", "θɹˈi ɡɹˈATəɹ ðən tˈu"),
        ("3 ≥ 2", "θɹˈi ɡɹˈATəɹ ðən ɔɹ ˈikwᵊl tə tˈu"),
    ],
)
def test_what_was_once_misread_is_read_right_once_it_is_normalized(
    text: str, phonemes: str
) -> None:
    spoken = " ".join(reading.spoken for reading in readings(text, "en-us") if reading.spoken)
    assert heard(spoken) == phonemes


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("The bear can't go.", "ðə bˈɛː kˈɑːnt ɡˌQ."),
        ("The car park is over there.", "ðə kˈɑː pˈɑːk ɪz ˈQvə ðˈɛː."),
        ("I'd rather dance to the new tune.", "ˌId ɹˈɑːðə dˈɑːns tə ðə njˈuː tjˈuːn."),
    ],
)
def test_british_english_is_read_by_its_own_dictionary(text: str, phonemes: str) -> None:
    assert heard(text, british=True) == phonemes


@pytest.mark.parametrize(
    "text",
    [
        "One of the best of them, 3,50 or $3.50 - 🙂 e-mail me@example.com (now) ... end",
        "  spaces\tand\nlines  ",
        "1999-2001 10:30 p.m. U.S.A. -5°C 1/2 #1 “quoted” 'single' C++ a&b x_y 👍🏽 end",
        "\" ' ” [x](y) {z} <b> `c` **d** ½ ² ５ ① ﬁ e\u0301 \u200b\u200d \ufeff İ ß end",
        "",
    ],
)
def test_every_written_word_keeps_its_place(text: str) -> None:
    words = english(False).read(text)
    assert [word.text for word in words] == text.split()
    assert all(not word.phonemes or word.phonemes.endswith(" ") for word in words)


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [("E² costs ③ note¹.", "ˈi tˈu kˈɔsts θɹˈi nˈOt wˈʌn."), ("१२ is １２.", "twˈɛlv ɪz twˈɛlv.")],
)
def test_digits_of_all_kinds_are_read(text: str, phonemes: str) -> None:
    assert heard(text) == phonemes


def test_a_word_that_cannot_be_read_does_not_silence_its_neighbours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = english(False)
    usual = reader._g2p.tokenizer.split

    def split(text: str) -> list[str]:
        if text == "boom":
            raise ValueError("no rule for it")
        return list(usual(text))

    monkeypatch.setattr(reader._g2p.tokenizer, "split", split)
    assert heard("Hello boom there.") == "həlˈO ðˈɛɹ."
    assert "cannot be read aloud: 'boom' (no rule for it)" in caplog.text


@pytest.mark.parametrize("text", ["🙂", "👍🏽 🙂", '"', "— - --", "?!", "日本語"])
def test_where_there_is_nothing_to_say_there_is_no_sentence(text: str) -> None:
    assert list(english(False).sentences(text)) == []


def test_sentences_come_one_by_one_and_what_says_nothing_with_its_neighbour() -> None:
    sentences = english(False).sentences("... Dr. Smith left. 🙂 Did he? !!! Yes.")
    said = [[word.text for word in sentence] for sentence in sentences]
    assert said == [["...", "Dr.", "Smith", "left."], ["🙂", "Did", "he?", "!!!"], ["Yes."]]


@pytest.mark.parametrize(
    "word", ["a" * 10_000, "!" * 10_000, "1" * 10_000, "a/" * 999, "x1!" * 500]
)
def test_a_word_that_no_person_wrote_is_read_in_pieces(word: str) -> None:
    began = time.process_time()
    first = next(english(False).sentences(f"Look: {word}"), [])
    assert time.process_time() - began < 2  # 0.05 s
    assert len(first) <= 1 + 600  # single digits
    assert sum(word.text != "" for word in english(False).read(f"Look: {word}")) == 2


def test_what_is_read_is_in_the_networks_alphabet() -> None:
    text = "The quick brown fox's jumps aren't over 12 lazy dogs — naïve façades, Zürich, pizza!"
    for british in (False, True):
        assert set(heard(text, british)) <= VOCABULARY.keys()
