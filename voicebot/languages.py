"""Which language is meant by what people write for it: "en-US", "English", "deutsch", "auto".

Codes are those of ISO 639-1, and Whisper's where that has none: "yue", "haw".
"""

from __future__ import annotations

import re
from collections.abc import Collection

_ANY = frozenset(("", "auto", "automatic", "autodetect", "detect", "default", "any", "mul", "und"))
"""The recogniser is to find out."""

_NAMES = """
af afrikaans afr|am amharic amh|ar arabic ara العربية|as assamese asm|az azerbaijani aze
ba bashkir bak|be belarusian bel|bg bulgarian bul български|bn bengali bangla ben|bo tibetan bod tib
br breton bre|bs bosnian bos|ca catalan valencian cat català|cs czech ces cze čeština
cy welsh cym wel cymraeg|da danish dan dansk|de german deu ger deutsch|el greek ell gre ελληνικά
en english eng american british|es spanish castilian spa español espanol|et estonian est eesti
eu basque eus baq euskara|fa persian farsi fas per فارسی|fi finnish fin suomi|fo faroese fao
fr french fra fre français francais|gl galician glg galego|gu gujarati guj|ha hausa hau
haw hawaiian|he hebrew heb iw עברית|hi hindi hin हिन्दी|hr croatian hrv hrvatski
ht haitian hat haitian-creole|hu hungarian hun magyar|hy armenian hye arm
id indonesian ind in bahasa|is icelandic isl ice íslenska|it italian ita italiano
ja japanese jpn 日本語|jw javanese jav jv|ka georgian kat geo|kk kazakh kaz|km khmer khm
kn kannada kan|ko korean kor 한국어|la latin lat|lb luxembourgish letzeburgesch ltz|ln lingala lin
lo lao|lt lithuanian lit lietuvių|lv latvian lav latviešu|mg malagasy mlg|mi maori mri mao
mk macedonian mkd mac|ml malayalam mal|mn mongolian mon|mr marathi mar|ms malay msa may
mt maltese mlt|my burmese myanmar mya bur|ne nepali nep|nl dutch flemish nld dut nederlands
nn nynorsk nno|no norwegian nor norsk nb bokmål nob|oc occitan oci|pa punjabi panjabi pan
pl polish pol polski|ps pashto pushto pus|pt portuguese por português portugues
ro romanian moldavian moldovan ron rum mo română|ru russian rus русский|sa sanskrit san
sd sindhi snd|si sinhala sinhalese sin|sk slovak slk slo slovenčina|sl slovenian slovene slv
sn shona sna|so somali som|sq albanian sqi alb|sr serbian srp srpski|su sundanese sun
sv swedish swe svenska|sw swahili swa kiswahili|ta tamil tam|te telugu tel|tg tajik tgk|th thai tha
tk turkmen tuk|tl tagalog filipino fil tgl|tr turkish tur türkçe|tt tatar tat
uk ukrainian ukr українська|ur urdu urd|uz uzbek uzb|vi vietnamese vie|yi yiddish yid ji
yo yoruba yor|yue cantonese|zh chinese mandarin cmn zho chi 中文
"""
_CODES = {
    name: words[0] for words in map(str.split, re.split(r"[|\n]", _NAMES.strip())) for name in words
}


def code(name: str, known: Collection[str] = ()) -> str:
    """The code of the language meant by `name`; empty where it is to be found out.

    known: the codes that an engine takes, if it says so; one of them means itself.

    What no language is called is given back as it is, in lower case, for the engine to judge.
    """
    text = name.strip().lower().replace("_", "-")
    if text in known:
        return text
    if text in _ANY:
        return ""
    # A region, a script, an encoding and what stands in brackets say nothing more about it.
    first = re.split(r"[-\s.@(,;]", text, maxsplit=1)[0]
    for word in (text.replace(" ", "-"), first):
        if word in known:
            return word
        if word in _CODES:
            return _CODES[word]
    return text
