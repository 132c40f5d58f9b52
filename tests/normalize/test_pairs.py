"""Written -> spoken, in the four languages that have rules."""

from pathlib import Path

import pytest

from voicebot.normalize import readings

HERE = Path(__file__).parent
LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}


def pairs(language):
    """The group, the written and the spoken form of each line."""
    for line in (HERE / f"{LANGUAGES[language]}.tsv").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            group, written, spoken = line.split("\t")
            if "\\" in written:  # what no editor shows
                written = written.encode("ascii").decode("unicode_escape")
            yield group, written, spoken


def said(text, language):
    return " ".join(reading.spoken for reading in readings(text, language) if reading.spoken)


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [(code, written, spoken) for code in LANGUAGES for _, written, spoken in pairs(code)],
)
def test_is_said_as_written_down(language, written, spoken):
    assert said(written, language) == spoken
    assert [reading.written for reading in readings(written, language)] == written.split()


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_two_hundred_pairs_a_language(language):
    found = list(pairs(language))
    assert len(found) >= 200
    assert len({written for _, written, _ in found}) == len(found)
