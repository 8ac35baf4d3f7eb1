"""wip"""
from __future__ import annotations

import re

Q = "['\u2019\x92]"  # apostrophes
QQ = "['\u2019\x92`\u2018\x91\u201b]"
END = r"(?:[^A-Za-z]|$)" 
L = "[A-Za-z\u00e9]"
LC = "[A-Za-z\u00e9\u0301\xad]"
D = "[0-9\u0660]"
A = "[A-Za-z0-9\u00e9\u0660]"
AC = "[A-Za-z0-9\u00e9\u0660\u0301\xad]"
SP = "[ \xa0]"
PART = f"(?:{L}{AC}*|{A}+)"
THING = f"{PART}(?:[-_\u058a\u2010\u2011]{PART}|-\xad{AC}*)*"
NUM = f"(?:{D}*(?:[.,:\u066b\u066c\xad]{D}+)+|{D}+)"
THINGA = r"[A-Za-z0-9][A-Za-z0-9.,]*(?:-[A-Za-z0-9]+)+"
ACRO = r"[A-Za-z](?:\.[A-Za-z])*\."
DOTTED = f"{LC}{AC}*(?:[.!?]{LC}{AC}*)+"

KEEP = (
    "mr|mrs|ms|drs?|profs?|jr|sr|st|mt|lt|gen|gens|col|capt|sgt|maj|cpl|pvt|pfc|adm|cmdr|comdr|lieut|gov|govs|rep|reps|sen|sens|rev|hon|pres|"
    "supts?|insp|asst|atty|attys|det|brig|ens|sfc|spc|invt|elec|messrs|mme|mlle|msgr|natl|ave|bldg|rd|rt|ct|sq|ft|ste|ph|wm|alex|jos|cie|"
    "mfg|mtg|treas|adj|adv|cf|vs|seq|tel|ext|est|sys|etc|al|inc|co|cos|corp|pp?tys?|pp?tes?|plc|ltd|bros|bhd|assn|univ|intl|dept|esq|md|"
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|blvd|"
    "ala|ariz|calif|colo|conn|dak|fla|ga|ind|kans?|ky|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt|wisc?|wyo|assoc"
)
KEEP_CAP = "ark|az|del|ill|la|mass|miss|ore|pa|tex|wash"
STARTERS = (
    "a|about|according|additionally|after|an|as|at|but|earlier|he|her|here|however|if|in|it|last|many|more|now|once|one|other|our|she|"
    "since|so|some|such|that|the|their|then|there|these|they|this|we|what|when|while|yet|you"
)
KEEP_NUM = "nos?|figs?|art|prop|pp|op|ca"

def i(s): return f"(?i:{s})"
def cap(alts): return "|".join(f"{a[0].upper()}{i(a[1:])}" for a in alts.split("|"))

U = r"[^\s<>|(){}\x01\"`\u2003\xa0]"
U2 = r"[^\s<>|.!?(){},\x01\"\u2003\xa0]"
# (name, first characters, regex): group 1, where there is one, is the token, the rest is looked at only
RULES: list[tuple[str, str]] = [
    ("gonna", i("(gon|wan|can)(?:na|not)") + END if False else i("((?:gon|wan)(?=na)|got(?=ta)|(?:gim|lem)(?=me)|can(?=not))")+"(?:na|ta|me|not)"),
    ("word", f"{LC}{AC}*"),
    ("thing", THING),
    ("number", f"[-+]?{NUM}"),
    ("slash", r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}"),
    ("fraction", f"(?:{D}{{1,4}}[- \xa0])?{D}{{1,4}}(?:\\\\?/|\u2044){D}{{1,4}}"),
    ("thinga", THINGA),
    ("dotted", DOTTED),
    ("dollar", r"[A-Z]+\$"),
    ("thingdot", f"((?:{THING}|{THINGA}|{DOTTED})\\.)[,;:]"),
    ("thingacro", r"(?:[A-Za-z0-9]+-)+[A-Za-z](?:\.[A-Za-z])+\."),
    ("abbr", i(f"(?:{KEEP})\\.")),
    ("abbrcap", f"(?:{cap(KEEP_CAP)})\\."),
    ("abbrnum", i(f"((?:{KEEP_NUM})\\.){SP}?{D}")),
    ("acronym", ACRO),
    ("initial", f"([A-Za-z])\\.[ \t\xa0\u2003]+(?:{cap(STARTERS)})[ \t\xa0\u2003]"),
    ("nt", f"({L}*[A-MO-Za-mo-z\u00e9]){i('n'+QQ+'t')}"),
    ("n't", i("n"+QQ+"t")),
    ("base", f"({LC}{AC}*){Q}{i('(?:[sdm]|ll|re|ve)')}{END}"),
    ("elision", i(f"[djl]{Q}|ol{Q}")),
    ("y'", i(f"(y{Q}){L}")),
    ("oname", f"[A-HJ-XZdlno]{QQ}{L}{{2,}}|[oO]{QQ}[oO]"),
    ("vowel", f"{L}+[aeiouyAEIOUY]{QQ}[aeiouA-Z]{L}*"),
    ("suffixend", f"({Q}{i('(?:[sdm]|ll|re|ve)')}){END}"),
    ("suffix", i(f"{Q}(?:s|d|m|ll|re|ve|em|till?|n{Q}?)")),
    ("tis", i(f"({Q}t)(?:is|was)")),
    ("decade", f"{Q}[2-9]0s"),
    ("year", r"(['\u2019\x92][0-9]{2})(?: |$)"),
    ("quoteword", r"(')[A-Za-z][^\s\xa0\u2003]"),
    ("quotes", "''|``|\u2019\u2019|\u2018\u2018|\x91\x91|\x92\x92|['`]"),
    ("url", f"https?://{U}+\\.{U}*[^\\s<>|.!?,;:'(){{}}\\x01\"`\u2003\xa0]"),
    ("www", f"www\\.(?:{U2}+\\.)*{U2}+(?:/{U2}*)?"),
    ("com", f"(?:{U2}+\\.)+(?:com|net|org|edu)(?:/{U2}+)?"),
    ("email", r"<?[A-Za-z0-9][^\s<>|(){}\x01\"]*@(?:[^\s<>|(){}\x01\".]+\.)*[^\s<>|(){}\x01\".]+>?"),
    ("user", "@[A-Za-z_][A-Za-z_0-9]*"),
    ("hash", "#[A-Za-z\u00e9]+"),
    ("tag", r"</?[A-Za-z!?][^<>\n]*>"),
    ("entity", i(r"&(?:amp|lt|gt|quot|apos|nbsp|mdash|ndash|#[0-9]+|[aeiou](?:acute));")),
    ("amp", "[A-Z]+&(?:amp;)?[A-Z]+"),
    ("excl", "[!?]+"),
    ("ellipsis", r"\.(?:\xa0|\x20)?\.(?:\xa0|\x20)?\.+"),
    ("dashes", "-{2,}"),
    ("dashlike", "[\x96\x97\u2013\u2014\u2015]"),
    ("under", "_+"),
    ("stars", r"\*+"),
    ("hashes", "#+|@+"),
    ("arrows", "<<|>>"),
    ("scripts", "[\u00b2]+"),
    ("mark", f"\u0301{AC}*"),
    ("face", r"[-^x=~<>'][_][-^x=~<>']"),
    ("smiley", r"([<>]?[:;=][-o*']?[()\[\]{@DdPpO\\|])(?:[^A-Za-z0-9]|$)"),
    ("lang", r"[CcFf]#|[Cc]\+\+"),
    ("bstar", r"\\\*"),
    ("joint", f"(can)(?:not)|(gon)(?:na)".replace("|", "|") if False else "(?!)"),
    ("blank", "[ \xa0\x01\u2003\u058a\u2010\u2011\u066b\u066c]"),
    ("any", "."),
]
COMPILED = [(n, re.compile(r).match) for n, r in RULES]
DROP = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
MAP = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "\x80":"$","\u20ac":"$","\xa4":"$","\u20a0":"$","\xa3":"#","\xa2":"cents",
"\xbc":"1/4","\xbd":"1/2","\xbe":"3/4","\u2153":"1/3","\u2154":"2/3"}
QUOTES = {"\u2019\u2019", "\u2018\u2018", "\x91\x91", "\x92\x92"}
SKIP = set(' "\xa0\x01\u2003\u058a\u2010\u2011\u066b\u066c\x85\x91\x92\x93\x94\x96\x97\u2013\u2014\u2015\u2018\u2019\u201b\u201c\u201d\u2026\u2039\u203a\xab\xbb\xad')
import html


def lex(text: str, s: str) -> list[str]:
    out=[]; pos=0; n=len(s)
    while pos<n:
        best=0; end=pos+1; name=''
        for nm, match in COMPILED:
            m=match(s,pos)
            if m:
                t=m.end()
                if t>best:
                    best=t; end=m.end(1) if m.re.groups else t; name=nm
        tok=text[pos:end]
        pos=end
        if len(tok)==1:
            if tok in SKIP or name=='blank': continue
            tok=MAP.get(tok,tok)
        tok=tok.lower().replace('(','-lrb-').replace(')','-rrb-').replace(' ','\xa0').replace('\xad','')
        if name in('nt',"n't",'suffixend','suffix') and tok[1:] not in ('em','n'): tok=tok.replace('\u2019',"'").replace('\x92',"'").replace('\u2018','`').replace('\x91','`').replace('\u201b','`')
        if name=='entity': tok=html.unescape(tok) if '#' not in tok and 'acute' not in tok else tok
        if name=='dashes' and len(tok)<5: tok='--'
        if name=='ellipsis': tok='...'
        if tok and tok not in DROP and tok not in QUOTES: out.append(tok)
    return out
