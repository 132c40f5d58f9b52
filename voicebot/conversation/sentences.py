"""Tell the end of a sentence from an abbreviation's full stop. No I/O.

A full stop alone says too little: "plan B. Then" ends and "George B. Shaw" does not. What
decides is the word before it and the word after it, so the answer may have to wait for that.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Always before a name or what they shorten, whatever it begins with.
_LEADS_ON = re.compile(
    r"(?:mr|mrs|ms|messrs|dr|prof|st|mt|ft|gen|rev|hon|sen|rep|gov|capt|lt|col|sgt|vs|approx|ca|cf"
    r"|e\.g|i\.e|eg|ie|z\.\s?b|d\.\s?h|u\.\s?a|bzw|evtl|ggf|hr|fr|frl|sog|inkl|exkl|nr|mme|mlle|sr|sra|srta)"
    r"\.",
    re.IGNORECASE,
)
# Only before a number: "No. 5", but "I said no. You"
_NUMBERS = re.compile(
    r"(?:no|nos|vol|fig|figs|p|pp|sec|ch|art|abs|kap|s|núm|pág|n)\.", re.IGNORECASE
)
# "Dec. 31": a month that ends a sentence has no number behind it.
_MONTHS = re.compile(
    r"(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|okt|dez|janv|févr|avr|juil|déc|ene|abr|ago|dic)\.",
    re.IGNORECASE,
)
# They may end a sentence, and do where what follows is written as its beginning.
_MAY_END = re.compile(
    r"(?:etc|inc|ltd|co|corp|jr|bros|dept|usw|u\.\s?s\.\s?w|jan|feb|aug|sept?|oct|nov|dec|in|lb|oz"
    r"|ave|blvd|rd|min|max)\.",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}|ph\.d\.", re.IGNORECASE)  # U.S., a.m.
_INITIAL = re.compile(r"[^\W\d_]\.")
_ORDINAL = re.compile(r"\d{1,2}\.")
# German: "am 3. Mai", "der 2. Weltkrieg"
_BEFORE_ORDINAL = _words(
    "am der die das dem den des vom zum zur im beim ab bis seit jeder jeden sein ihr"
)
_AFTER_ORDINAL = _words(
    "januar februar märz april mai juni juli august september oktober november dezember"
    " jahrhundert jahrhunderts weltkrieg weltkriegs klasse stock mal tag platz"
)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*(?:\d+|[a-zA-Z])\.$")
# Words that begin a sentence far oftener than they follow an initial or "U.S."
_STARTERS = _words(
    "a after all also an and another are as at because before but by can could did do does each"
    " even every everyone finally first for from he her here his how however i if in instead is"
    " it it's its last let many maybe more most my next no not now of on once one only or our"
    " please she since so some sometimes still that that's the their then there there's these"
    " they they're this those though to today try two was we we're were what when where which"
    " while who why will with would yes yet you you're your"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def ends(before: str, after: str, *, complete: bool) -> bool | None:
    """Whether the full stop at the end of `before` ends a sentence; None until more is written.

    before: the sentence so far, with its stop and what closes behind it ("He said no.\\"").
    after: what follows, from the space on. complete: no more will be.
    """
    text = before.rstrip("\"'”’)]")
    if not text.endswith(".") or text.endswith(".."):
        return True
    if _LIST_NUMBER.search(text):
        return False
    *others, last = text.split() or [""]
    token = last.lstrip("\"'“‘([*_-–—")
    follows = after.lstrip()
    known = complete or (match := _WORD.match(follows)) is None or match.end() < len(follows)
    if "\n" in after[: len(after) - len(follows)]:
        return True
    if _LEADS_ON.fullmatch(token):
        # The beginning of nothing is no abbreviation: "See the St."
        return None if not follows and not complete else not follows
    if not _may_go_on(token):
        return True
    if not follows or not known:
        return True if complete else None
    return not _goes_on(token, others[-1] if others else "", follows)


def _may_go_on(token: str) -> bool:
    patterns = (_NUMBERS, _MAY_END, _DOTTED, _INITIAL, _ORDINAL)
    return any(pattern.fullmatch(token) for pattern in patterns)


def _goes_on(token: str, before: str, follows: str) -> bool:
    """Whether the sentence goes on behind `token` with `follows`."""
    match = _WORD.match(follows.lstrip("\"'“‘(["))
    word = match.group() if match else ""
    is_start = word.lower() in _STARTERS
    if _ORDINAL.fullmatch(token):
        leads = before.lower() in _BEFORE_ORDINAL
        return bool(word) and (leads or word.lower() in _AFTER_ORDINAL or word[0].islower())
    if (_NUMBERS.fullmatch(token) or _MONTHS.fullmatch(token)) and follows[:1].isdigit():
        return True
    if word and word[0].islower():
        return True
    if _DOTTED.fullmatch(token):
        return not is_start
    if _INITIAL.fullmatch(token) and token[0].isupper():
        named = not before or before[:1].isupper() or _INITIAL.fullmatch(before) is not None
        return bool(word) and named and not is_start
    return False
