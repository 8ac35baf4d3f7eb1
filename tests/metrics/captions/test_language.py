"""Captions in other languages are told from English ones, and short or telegraphic English is English."""

import json
from pathlib import Path

import pytest

from vlmbench.metrics.captions.language import not_english

SHARED = Path(__file__).parents[4] / "shared" / "data" / "captions"

OTHERS = {
    "German": ["Ein Hund springt ins Wasser", "Ein Mann steht auf dem Fahrrad", "Eine Frau mit einem roten Hut"],
    "French": ["Un chien court dans l'herbe", "Une femme avec un chapeau rouge", "Deux enfants dans le parc"],
    "Spanish": ["Un perro corre por la hierba", "Una mujer con un sombrero rojo sentada en un banco"],
    "Portuguese": ["Um cachorro corre na grama", "Uma mulher com um chapeu vermelho sentada em um banco"],
    "Italian": ["Un cane corre nel prato", "Una donna con un cappello rosso", "Due uomini giocano nel parco"],
    "Dutch": ["Een hond rent over het gras", "Een vrouw met een rode hoed zit op een bank"],
    "Norwegian": ["En hund springer i gresset", "En kvinne med en hatt", "To menn spiller med en ball"],
    "Polish": ["Pies biegnie po trawie", "Kobieta w czerwonym kapeluszu siedzi na ławce", "Dwóch mężczyzn gra"],
    "Turkish": ["Bir köpek çimenlerde koşuyor", "Kırmızı şapkalı bir kadın bankta oturuyor"],
    "Vietnamese": ["Một con chó chạy trên cỏ", "Một người phụ nữ đội mũ đỏ ngồi trên ghế"],
    "Indonesian": ["Seekor anjing berlari di rumput", "Seorang wanita dengan topi merah yang duduk"],
    "Chinese": ["一只狗在草地上奔跑", "一个戴着红帽子的女人坐在长椅上", "两个男人在公园里打网球", "一只猫看着窗外的鸟"],
    "Japanese": ["芝生の上を走る犬", "赤い帽子をかぶった女性がベンチに座っている", "公園で男性がテニスをしている"],
    "Korean": [
        "잔디 위를 달리는 개",
        "빨간 모자를 쓴 여자가 벤치에 앉아 있다",
        "두 남자가 공원에서 테니스를 치고 있다",
    ],
    "Russian": ["Собака бежит по траве", "Женщина в красной шляпе сидит на скамейке"],
    "Arabic": ["كلب يجري على العشب", "امرأة ترتدي قبعة حمراء تجلس على مقعد"],
    "Hindi": ["घास पर दौड़ता हुआ कुत्ता", "लाल टोपी पहने एक महिला बेंच पर बैठी है", "दो आदमी टेनिस खेल रहे हैं"],
}
ENGLISH = {
    "short": ["a dog", "a cat", "two dogs", "a man", "a red bus"],
    "words": ["dog, grass, ball, park", "man red hat bench", "woman umbrella street rain", "cafe table wine"],
    "names": ["Lionel Messi at the Estadio de la Ciudad", "a café in Los Angeles near El Capitan", "Playa del Carmen"],
    "numbers": ["1 2 3", "42", "3/4"],
    "shouting": ["A DOG ON THE GRASS", "STOP SIGN AT A STREET"],
    "shapes": ["a red circle in the upper left", "two green squares"],
    "one foreign caption of many": ["a dog runs on the grass"] * 20 + ["Ein Hund auf der Wiese"],
    "none": [],
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("times", [1, 500])
def test_other_languages(name: str, times: int) -> None:
    assert not_english(OTHERS[name] * times)


@pytest.mark.parametrize("name", ENGLISH)
@pytest.mark.parametrize("times", [1, 500])
def test_english(name: str, times: int) -> None:
    assert not_english(ENGLISH[name] * times) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the COCO captions beside the checkout are not there")
def test_no_false_alarm_on_ten_captions_of_coco() -> None:
    for path in sorted(SHARED.glob("*.json")):
        data = json.loads(path.read_text())
        captions = [item["caption"] for item in (data["annotations"] if isinstance(data, dict) else data)]
        assert not_english(captions) is None
        assert not [n for n in range(0, len(captions), 10) if not_english(captions[n : n + 10])]
