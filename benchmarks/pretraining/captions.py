"""The closed world's facts and the grammar that puts them in words.

An image is a row of facts (`FIELDS`); a caption is text with a row of claims of the same form, in which -1 leaves a
field open. A caption is true of an image when every field it claims agrees; `truth_table` says so for a whole batch at
once.
"""

from __future__ import annotations

import numpy as np

FIELDS = ("kind", "label", "case", "hand", "count", "colour", "background", "size", "label2", "colour2", "relation")
KIND, LABEL, CASE, HAND, COUNT, COLOUR, BACKGROUND, SIZE, LABEL2, COLOUR2, RELATION = range(len(FIELDS))
DIGIT, LETTER, SHAPE, TEXTURE, PAIR = range(5)
OPEN = -1  # in a claim: anything goes
UNNAMED = 99  # in a fact: there is no word for it, so nothing said about it is true

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LETTERS = [chr(ord("a") + i) for i in range(26)]
SHAPES = [
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "cross",
    "ring",
    "diamond",
    "crescent",
    "arrow",
    "pentagon",
    "semicircle",
]
PLURALS = [s + ("es" if s.endswith("s") else "s") for s in SHAPES]
COLOURS = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "black", "white", "gray"]
N_SHAPE_COLOURS = 8  # shapes take the first eight, backgrounds all eleven
RGB = [
    (220, 30, 30),
    (250, 130, 15),
    (245, 220, 30),
    (35, 155, 55),
    (60, 210, 220),
    (30, 60, 210),
    (125, 40, 165),
    (250, 130, 185),
    (12, 12, 12),
    (245, 245, 245),
    (130, 130, 130),
]
TEXTURES = [
    "horizontal stripes",
    "vertical stripes",
    "diagonal stripes",
    "a checkerboard",
    "polka dots",
    "random noise",
    "a smooth gradient",
    "concentric rings",
    "a grid of lines",
    "wavy lines",
]
TEXTURE_WORDS = [
    ["horizontal stripes", "horizontal lines", "a horizontally striped pattern"],
    ["vertical stripes", "vertical lines", "a vertically striped pattern"],
    ["diagonal stripes", "diagonal lines", "a diagonally striped pattern"],
    ["a checkerboard", "a chessboard pattern", "a checkered pattern"],
    ["polka dots", "a dotted pattern", "many small dots"],
    ["random noise", "static", "a noisy texture"],
    ["a smooth gradient", "a gradient", "a smooth fade"],
    ["concentric rings", "rings within rings", "a pattern of rings"],
    ["a grid of lines", "a grid", "a mesh of lines"],
    ["wavy lines", "waves", "a wavy pattern"],
]
RELATIONS = [["to the left of", "left of"], ["to the right of", "right of"], ["above", "over"], ["below", "under"]]
CASED = frozenset("abdefghijlmnqrt")  # letters whose capital looks different

# (shape, colour) pairs never rendered in training: two colours for each shape, three shapes for each colour
HELD_OUT = frozenset({(s, s % 8) for s in range(12)} | {(s, (s + 4) % 8) for s in range(12)})

TEMPLATES = [
    "{}",
    "{}",
    "{}",
    "{}.",
    "{}.",
    "a photo of {}",
    "a photo of {}.",
    "a photo of {}.",
    "a photo of {}.",
    "a picture of {}",
    "a picture of {}.",
    "an image of {}",
    "an image of {}.",
    "a drawing of {}",
    "a drawing of {}.",
    "a sketch of {}.",
    "a painting of {}.",
    "a rendering of {}.",
    "a bad photo of {}.",
    "a good photo of {}.",
    "a blurry photo of {}.",
    "a low resolution photo of {}.",
    "a pixelated photo of {}.",
    "a cropped photo of {}.",
    "a close-up photo of {}.",
    "a bright photo of {}.",
    "a dark photo of {}.",
    "a photo of one thing: {}.",
    "this is {}",
    "this is {}.",
    "here is {}",
    "here is {}.",
    "it is {}.",
    "there is {}",
    "there is {} in the picture.",
    "there is {} here.",
    "you can see {}.",
    "we see {}.",
    "an image showing {}.",
    "a picture showing {}",
    "a photo that shows {}.",
    "the image shows {}.",
    "the picture contains {}.",
    "an example of {}.",
    "a centered photo of {}.",
    "itap of {}.",
    "art of {}.",
    "a cartoon of {}.",
    "an icon of {}.",
    "a scan of {}.",
    "a tiny picture of {}.",
    "a jpeg of {}.",
    "a clean photo of {}.",
    "a black and white photo of {}.",
]


def _article(noun: str, rng: np.random.Generator, number: bool = False) -> str:
    """`noun` with a, an, the or nothing before it."""
    pick = rng.random()
    if pick < 0.62:
        an = (noun[0] in "aeio" and not noun.startswith("one")) or noun.startswith(("8", "11"))
        return ("an " if an and rng.random() < 0.7 else "a ") + noun
    if pick < 0.84 or (number and pick < 0.92):
        return "the " + noun
    return noun


def _digit(fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator) -> str:
    pick = rng.random()
    if pick < 0.05:  # says no more than that it is a digit
        if fact[HAND] != UNNAMED and rng.random() < 0.6:
            claim[HAND] = fact[HAND]
            return ["a printed digit", "a handwritten digit"][fact[HAND]]
        return ["a digit", "a number", "a numeral"][rng.integers(3)]
    claim[LABEL] = fact[LABEL]
    name = DIGITS[fact[LABEL]] if rng.random() < 0.6 else str(fact[LABEL])
    noun = (
        name
        if rng.random() < 0.4
        else ["number ", "digit ", "numeral ", "number ", "digit ", "figure "][rng.integers(6)] + name
    )
    if pick > 0.9:
        noun = ['number: "{}"', "digit: {}", "number: {}", 'number "{}"'][rng.integers(4)].format(name)
    if fact[HAND] != UNNAMED and rng.random() < 0.2:
        claim[HAND] = fact[HAND]
        noun = [["printed", "typed"], ["handwritten", "hand-drawn"]][fact[HAND]][rng.integers(2)] + " " + noun
    return _ground(_coloured(noun, fact, claim, rng, 0.12), fact, claim, rng, 0.08, number=True)


def _letter(fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator) -> str:
    if rng.random() < 0.06:
        return ["a letter", "a letter of the alphabet", "a character"][rng.integers(3)]
    claim[LABEL] = fact[LABEL]
    noun = LETTERS[fact[LABEL]] if rng.random() < 0.2 else "letter " + LETTERS[fact[LABEL]]
    if fact[CASE] != UNNAMED and rng.random() < 0.3:
        claim[CASE] = fact[CASE]
        noun = [["lowercase", "small"], ["capital", "uppercase"]][fact[CASE]][rng.integers(2)] + " " + noun
    elif fact[HAND] != UNNAMED and rng.random() < 0.2:
        claim[HAND] = fact[HAND]
        noun = ["printed", "handwritten"][fact[HAND]] + " " + noun
    return _ground(_coloured(noun, fact, claim, rng, 0.12), fact, claim, rng, 0.08, number=True)


def _coloured(noun: str, fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator, rate: float) -> str:
    if fact[COLOUR] != UNNAMED and rng.random() < rate:
        claim[COLOUR] = fact[COLOUR]
        return COLOURS[fact[COLOUR]] + " " + noun
    return noun


def _ground(
    noun: str, fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator, rate: float, number: bool = False
) -> str:
    """`noun` with its article and now and then the background."""
    phrase = _article(noun, rng, number)
    if fact[BACKGROUND] != UNNAMED and rng.random() < rate:
        claim[BACKGROUND] = fact[BACKGROUND]
        word = COLOURS[fact[BACKGROUND]]
        forms = [
            " on a {} background",
            " on {}",
            " against a {} background",
            " over a {} background",
            " on a {} background",
        ]
        phrase += forms[rng.integers(len(forms))].format(word)
    return phrase


def _shapes(fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator) -> str:
    n = int(fact[COUNT])
    claim[COUNT] = n
    named = fact[LABEL] != UNNAMED and rng.random() < (0.9 if n == 1 else 0.68)
    if named:
        claim[LABEL] = fact[LABEL]
        noun = SHAPES[fact[LABEL]] if n == 1 else PLURALS[fact[LABEL]]
    else:
        noun = ["shape", "object", "thing", "item", "object"][rng.integers(5)] + ("" if n == 1 else "s")
    noun = _coloured(noun, fact, claim, rng, 0.62 if n == 1 else 0.4)
    if n == 1 and fact[SIZE] != UNNAMED and rng.random() < 0.12:
        claim[SIZE] = fact[SIZE]
        noun = [["small", "little"], ["large", "big"]][fact[SIZE]][rng.integers(2)] + " " + noun
    if n == 1 and (named or rng.random() < 0.3):
        if rng.random() < 0.08:
            return ["one ", "a single "][rng.integers(2)] + noun
        return _ground(noun, fact, claim, rng, 0.3)
    word = DIGITS[n] if rng.random() < 0.75 else str(n)
    phrase = f"{word} {noun}"
    pick = rng.random()
    if pick < 0.05:
        phrase = "the " + phrase
    elif pick < 0.1:
        phrase = "a " + phrase  # the default CLIP template does this to a count
    elif pick < 0.16:
        phrase = "exactly " + phrase
    elif pick < 0.2:
        phrase = "a group of " + phrase if n > 1 else "only " + phrase
    if fact[BACKGROUND] != UNNAMED and rng.random() < 0.2:
        claim[BACKGROUND] = fact[BACKGROUND]
        phrase += f" on a {COLOURS[fact[BACKGROUND]]} background"
    return phrase


def _texture(fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator) -> str:
    pick = rng.random()
    if pick < 0.06:
        return ["a texture", "a pattern", "an abstract texture"][rng.integers(3)]
    claim[LABEL] = fact[LABEL]
    words = TEXTURE_WORDS[fact[LABEL]]
    phrase = words[rng.integers(len(words))]
    if fact[COLOUR] != UNNAMED and fact[BACKGROUND] != UNNAMED and rng.random() < 0.4:
        claim[COLOUR], claim[BACKGROUND] = fact[COLOUR], fact[BACKGROUND]
        forms = ["{} in {} and {}", "{} of {} and {}", "{}, {} and {}"]
        return forms[rng.integers(3)].format(phrase, COLOURS[fact[COLOUR]], COLOURS[fact[BACKGROUND]])
    return phrase


def _pair(fact: np.ndarray, claim: np.ndarray, rng: np.random.Generator) -> str:
    """Two different things: facts give the relation of the first to the second."""
    first, second, relation = (LABEL, COLOUR), (LABEL2, COLOUR2), int(fact[RELATION])
    if rng.random() < 0.5:
        first, second, relation = second, first, relation ^ 1
    names = []
    for label, colour in (first, second):
        claim[label] = fact[label]
        noun = SHAPES[fact[label]]
        if rng.random() < 0.75:
            claim[colour] = fact[colour]
            noun = COLOURS[fact[colour]] + " " + noun
        names.append(("an " if noun[0] in "aeiou" else "a ") + noun)
    if rng.random() < 0.55:
        claim[RELATION] = fact[RELATION]
        phrase = f"{names[0]} {RELATIONS[relation][rng.integers(2)]} {names[1]}"
    else:
        phrase = f"{names[0]} {['and', 'and', 'with', 'next to'][rng.integers(4)]} {names[1]}"
    if fact[BACKGROUND] != UNNAMED and rng.random() < 0.2:
        claim[BACKGROUND] = fact[BACKGROUND]
        phrase += f" on a {COLOURS[fact[BACKGROUND]]} background"
    return phrase


_WRITERS = [_digit, _letter, _shapes, _texture, _pair]


def caption(fact: np.ndarray, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """A caption true of `fact` [len(FIELDS)] int64, lower case, and the claims it makes, of the same shape."""
    claim = np.full(len(FIELDS), OPEN, dtype=np.int64)
    claim[KIND] = fact[KIND]
    phrase = _WRITERS[fact[KIND]](fact, claim, rng)
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(phrase), claim


def truth_table(facts: np.ndarray, claims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which captions are true of which images.

    Args: facts [N, F] int64, claims [M, F] int64. Returns: true [N, M] bool; unclear [N, M] bool, the cells that are
    neither plainly true nor plainly false (a nought and the letter o; "a red circle" of a circle beside a square) and
    that the loss leaves out.
    """
    true = ((claims[None] == OPEN) | (claims[None] == facts[:, None])).all(2)
    image, text = facts[:, None, KIND], claims[None, :, KIND]
    unclear = (image == PAIR) & (text == SHAPE) | (image == SHAPE) & (text == PAIR)
    look_alike = {(0, "o"), (1, "l"), (1, "i"), (2, "z"), (5, "s"), (6, "b"), (9, "g"), (9, "q"), (8, "b")}
    for digit, letter in look_alike:
        index = LETTERS.index(letter)
        unclear |= (
            (image == DIGIT) & (text == LETTER) & (facts[:, None, LABEL] == digit) & (claims[None, :, LABEL] == index)
        )
        unclear |= (
            (image == LETTER) & (text == DIGIT) & (facts[:, None, LABEL] == index) & (claims[None, :, LABEL] == digit)
        )
    twins = [LETTERS.index("i"), LETTERS.index("l")]
    both = np.isin(facts[:, None, LABEL], twins) & np.isin(claims[None, :, LABEL], twins)
    unclear |= (image == LETTER) & (text == LETTER) & both
    return true, unclear & ~true
