"""The rules of the Penn Treebank lexer, as observed.

Written from the Penn Treebank's published tokenization rules and from what Stanford's tokenizer 3.4.1, run as a
black box, answers to exhaustive short probes; not from its source. The lexer takes, at each place, the rule that
reaches furthest (what is looked at after the token counts), and the earlier rule where two reach equally far.

Patterns are matched against the *shadow* of the text (`_ptb_chars`): letters outside ASCII are all ``é``, combining
marks all U+0301, and so on. In a rule with a group, the group is the token and the rest only has to follow.
"""

from __future__ import annotations

import re

Q = "(?:['\u2019\x92]|&apos;)"  # the apostrophes of clitics
QQ = "(?:['\u2019\x92`\u2018\x91\u201b]|&apos;)"  # the apostrophes inside names
L = "[A-Za-z\u00e9]"  # a letter; the next one may be a combining mark or a soft hyphen too
LC = "[A-Za-z\u00e9\u0301\xad]"
D = "[0-9\u0660]"
A = "[A-Za-z0-9\u00e9\u0660]"  # a letter or digit
AC = "[A-Za-z0-9\u00e9\u0660\u0301\xad]"
SP = "[ \xa0]"
BLANK = "[ \t\xa0\u2003]"
NOT_LETTER = "(?:[^A-Za-z]|$)"

PART = f"(?:[dDlLoO]{QQ}(?={A}{A}))?{A}[A-Za-z0-9\u00e9\u0660\xad]*"
HYPHENED = f"{PART}(?:[-_\u058a\u2010\u2011]{PART}|-\xad{AC}*)*"
DOTTED = f"{LC}{AC}*(?:[.!?]{LC}{AC}*)+"
# Runs are bounded where nothing else stops the search, so that the time stays linear in the length of the text.
POINTED = r"[A-Za-z0-9][A-Za-z0-9.,]{0,200}(?:-[A-Za-z0-9]+)+"
ACRONYM = r"[A-Za-z0-9][A-Za-z0-9.,]{0,200}(?:-[A-Za-z0-9]+)*-[A-Za-z](?:\.[A-Za-z])+\.(?:-[A-Za-z0-9]+)*"
NUMBER = f"(?:{D}*(?:[.,:\u066b\u066c\xad]{D}+)+|{D}+)"
SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
CLITIC = "(?i:[sdm]|ll|re|ve)"

URL_IN = r"""[^ \t\n"()<>{}|]"""
URL_END = r"""[^ \t\n!"(),\-.<>?{}|]"""
PATH = rf"""(?:/[^ \t\n"()<>|]+{URL_END})?"""
WWW_LABEL = r"""[^ \t\n!"(),.<>?{}|]"""
LABEL = r"""[^ \t\n!"$'(),\-./0-9:;<=>?@A-Z\[\\\]^_`{|}]"""
MAIL = r"""[^ \t\n\xa0"()<>{}|]"""
MAIL_LABEL = r"""[^ \t\n\xa0"().<>{}|]"""

# Abbreviations that keep their period wherever they stand.
TITLES = (
    "adj|adm|adv|alex|assoc|asst|atty|attys|ave|brig|capt|cf|cie|cmdr|col|comdr|cpl|dept|det|drs?|elec|ens|ft|gens?|govs?|hon|"
    "insp|invt|jos|lieut|lt|maj|messrs|mfg|mlle|mme|mrs?|ms|msgr|mt|mtg|natl|pfc|ph|pres|profs?|pvt|reps?|rev|sens?|sfc|sgt|"
    "spc|st|ste|supts?|treas|vs|wm"
)
# Abbreviations that may end a sentence: they keep their period too, but give way to less.
ENDINGS = (
    "al|ala|apr|ariz|assn|aug|bhd|bldg|blvd|bros|calif|co|colo|conn|corp|cos|ct|dak|dec|esq|est|etc|ext|feb|fla|fri|ga|inc|ind|"
    "intl|jan|jr|jul|jun|kans?|ky|ltd|mar|md|mich|minn|mo|mon|mont|neb|nev|nov|oct|okla|penn|plc|pp?tes?|pp?tys?|rd|rt|"
    "sept?|seq|sq|sr|sys|tel|tenn|thu|thurs|tues?|univ|va|vt|wed|wisc?|wyo"
)
# ... only with a capital.
STATES = "ark|az|del|ill|la|mass|miss|ore|pa|tex|wash"
# ... only before a number.
NUMBERED = "nos?|figs?|art|prop|pp|op|ca"
# Endings that make a file name of what is before them.
FILES = (
    "bat|bmp|c|cgi|class|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|"
    "x|xml|zip"
)
# Words that, with a capital and after an initial, show that the sentence has ended.
STARTERS = (
    "a|about|according|additionally|after|an|as|at|but|earlier|he|her|here|however|if|in|it|last|many|more|now|once|one|other|our|"
    "she|since|so|some|such|that|the|their|then|there|these|they|this|we|what|when|while|yet|you"
)


def _capital(words: str) -> str:
    return "|".join(f"{word[0].upper()}(?i:{word[1:]})" for word in words.split("|"))


SENTENCE_START = _capital(STARTERS)

WORD, DIGIT, QUOTE, OTHER = (
    "w",
    "d",
    "q",
    "o",
)  # what a rule may begin with: a letter, a digit or sign, a quote, the rest

# (name, what it may begin with, pattern)
RULES: tuple[tuple[str, str, str], ...] = (
    ("joined words", WORD, "(?i:((?:gon|wan)(?=na)|got(?=ta)|(?:gim|lem)(?=me)|can(?=not))(?:na|ta|me|not))"),
    ("word", WORD + OTHER, f"{LC}{AC}*"),
    ("hyphened", WORD + DIGIT, HYPHENED),
    ("number", DIGIT, f"[-+]?{NUMBER}"),
    ("slashed", WORD + DIGIT, rf"{SLASHED}(?:\\?/{SLASHED}){{1,2}}"),
    ("fraction", DIGIT, rf"(?:{D}{{1,4}}[- \xa0])?{D}{{1,4}}(?:\\?/|\u2044){D}{{1,4}}"),
    ("date", DIGIT, f"{D}{{1,2}}[-/]{D}{{1,2}}[-/]{D}{{2,4}}"),
    (
        "phone",
        DIGIT + OTHER,
        rf"(?:\({D}{{2,3}}\){SP}?|(?:\+\+?)?(?:{D}{{2,4}}[- \xa0])?{D}{{2,4}}[- \xa0]){D}{{3,4}}[- \xa0]?{D}{{3,5}}",
    ),
    ("dotted phone", DIGIT, rf"\+\+(?:{D}{{2,4}}\.)?{D}{{2,4}}\.{D}{{3,4}}\.{D}{{3,5}}"),
    ("dotted", WORD + OTHER, DOTTED),
    ("ending", WORD, rf"((?:(?i:{ENDINGS})|{_capital(STATES)})\.)(?:..|.?$)"),
    ("pointed", WORD + DIGIT, POINTED),
    ("currency", WORD, r"[A-Z]+\$"),
    ("ampersand", WORD, "[A-Z]+(?:[&+][A-Z]+)+"),
    (
        "before comma",
        WORD + DIGIT + OTHER,
        rf"((?:{HYPHENED}|{POINTED}|{DOTTED}|{ACRONYM}|[A-Z]+(?:[&+][A-Z]+)+)\.)[,;:]",
    ),
    ("hyphened acronym", WORD + DIGIT, ACRONYM),
    ("title", WORD, rf"(?i:{TITLES})\."),
    ("numbered", WORD, rf"((?i:{NUMBERED})\.){SP}?{D}"),
    ("acronym", WORD, r"[A-Za-z](?:\.[A-Za-z])*\."),
    ("initial", WORD, rf"([A-Za-z])\.{BLANK}+(?:{SENTENCE_START}){BLANK}"),
    ("degree", WORD, r"((?i:ph|ed)\.(?i:d)\.)(?:..|.?$)"),
    ("file name", WORD + DIGIT, rf"({A}{AC}*(?:\.{A}{AC}*)*\.(?i:{FILES}))(?:[.,!?\n]|{BLANK})"),
    ("n't after", WORD, f"([A-Za-z]*[A-MO-Za-mo-z])(?i:n){QQ}(?i:t)"),
    ("n't", WORD, f"(?i:n){QQ}(?i:t)"),
    ("clitic after", WORD + OTHER, f"({LC}{AC}*|{DOTTED}){Q}{CLITIC}{NOT_LETTER}"),
    ("elision", WORD, f"(?i:[djl]|ol){Q}"),
    ("y'", WORD, f"([yY]{Q}){L}"),
    ("name", WORD, f"[A-HJ-XZdlno]{QQ}{L}{{2,}}|[oO]{QQ}[oO]"),
    ("vowel", WORD, f"{L}+[aeiouyAEIOUY]{QQ}[aeiouA-Z]{L}*"),
    ("clitic", QUOTE, f"({Q}{CLITIC}){NOT_LETTER}"),
    ("short", QUOTE, f"{Q}(?i:em|till?|n{Q}?|cause)"),
    ("'tis", QUOTE, f"({Q}[tT])(?i:is|was)"),
    ("decade", QUOTE, f"{Q}[2-9]0s"),
    ("year", QUOTE, f"({Q}[0-9]{{2}})(?:{BLANK}|$)"),
    ("opening quote", QUOTE, r"(')[A-Za-z][^\s\xa0\u2003]"),
    ("clitic", QUOTE, f"{Q}{CLITIC}"),
    ("quotes", QUOTE + OTHER, "''|[`\x91-\x94\xab\xbb\u2018-\u201f\u2039\u203a]{2}"),
    ("kaomoji", WORD + DIGIT + QUOTE + OTHER, r"[-^x=~<>']_[-^x=~<>']"),
    ("kaomoji", OTHER, r"\([-^x=~<>'][_.]?[-^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)"),
    ("smiley", OTHER, r"([<>]?[:;=][-o*']?[()\[\]{@DdPpO\\|])(?:[^A-Za-z0-9]|$)"),
    ("language", WORD, r"[CcFf]#|[Cc]\+\+"),
    ("user", OTHER, "@[A-Za-z_][A-Za-z_0-9]*"),
    ("hashtag", OTHER, f"#{LC}+"),
    (
        "tag",
        OTHER,
        r"""</[A-Za-z][A-Za-z0-9_:.-]* *>|<[!?][-A-Za-z][^>]*>"""
        r"""|<[A-Za-z_][A-Za-z0-9_:.-]*(?: +[A-Za-z][A-Za-z0-9_:.-]*(?: *= *(?:"[^"]*"|'[^']*'))?)* */? *>""",
    ),
    ("entity", OTHER, r"(?i:&(?:amp|lt|gt|quot|apos|nbsp|mdash|ndash);)"),
    ("run", OTHER, r"[!?]+|_+|\*+|#+|@+|<<|>>|[\u207a\u207b\u208a\u208b]?(?:\u00b2+|\u2082+)|-{5,}|\\\*"),
    ("ellipsis", OTHER, rf"\.{SP}?\.{SP}?\.+"),
    ("dash", DIGIT, "-{2,4}"),
    ("blank", OTHER, f"{BLANK}+"),
)

# Rules tried only in a text in which `NET` finds something.
NET = re.compile(r"@|https?:|www\.|\.(?:com|net|org|edu)|&", re.IGNORECASE)
ACCENT = "(?i:&[aeiou](?:acute|grave|uml);)"
NET_RULES: tuple[tuple[str, str, str], ...] = (
    ("url", WORD, f"(?i:https?)://{URL_IN}+{URL_END}"),
    ("www", WORD, rf"(?i:www)\.(?:{WWW_LABEL}+\.)+[A-Za-z]{{2,4}}{PATH}"),
    ("www", WORD, rf"(?i:www)\.(?:{WWW_LABEL}+?\.)+?[A-Za-z]{{2,4}}{PATH[3:-2]}"),
    ("com", WORD + DIGIT + QUOTE + OTHER, rf"(?:{LABEL}{{1,200}}\.)+(?i:com|net|org|edu){PATH}"),
    ("email", WORD + DIGIT + OTHER, rf"(?:<|&lt;)?[A-Za-z0-9]{MAIL}*@(?:{MAIL_LABEL}+\.)*{MAIL_LABEL}+>?"),
    ("ampersand", WORD, "[A-Z]+(?:(?:&(?:(?i:amp);)?|[+])[A-Z]+)+"),
    ("hashtag", OTHER, f"#(?:{LC}|{ACCENT})+"),
    ("dotted", WORD + OTHER, f"(?:{LC}|{ACCENT})(?:{AC}|{ACCENT})*(?:[.!?](?:{LC}|{ACCENT})(?:{AC}|{ACCENT})*)+"),
    ("numeric entity", OTHER, "&#[0-9]+;"),
    ("word", WORD + OTHER, f"(?:{LC}|{ACCENT})(?:{AC}|{ACCENT})*"),
)
