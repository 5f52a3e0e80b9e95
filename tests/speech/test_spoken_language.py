from __future__ import annotations

import pytest

from apps.speech.spoken_language import detect_language

CLAUSES = {
    "en": [
        "Sure!",
        "That sounds lovely.",
        "Let's go!",
        "Non-stop flights leave daily.",
        "Los Angeles is in California.",
        "The Spanish word is hola.",
        "My favourite dish is spaghetti alla carbonara.",
        "The café closes at nine.",
        "Tel Aviv",
        "42",
        "",
    ],
    "es": ["Claro que sí.", "¡Hola!", "No lo sé.", "Muchas gracias.", "El tren sale a las ocho.", "Por supuesto."],
    "fr": ["Bien sûr.", "D'accord.", "Merci beaucoup.", "Ça va.", "L'eau est froide.", "À demain !", "Oui."],
    "hi": ["नमस्ते!", "ठीक है, Maria."],
    "it": ["Certo.", "Non lo so.", "Grazie mille.", "L'acqua è fredda.", "Ci vediamo domani.", "Che bella idea!"],
    "pt": ["Claro que sim.", "Não sei.", "Muito obrigado.", "Tudo bem?", "A água está fria.", "Até amanhã."],
}
BEFORE = {
    "en": "I have lived in Leeds for ten years, and I like it a lot.",
    "es": "Vivo en Madrid desde hace diez años y me gusta mucho.",
    "fr": "J'habite à Lyon depuis dix ans et j'aime beaucoup.",
    "it": "Abito a Milano da dieci anni e mi piace molto.",
    "pt": "Moro no Porto há dez anos e gosto muito.",
}


@pytest.mark.parametrize(("language", "clause"), [(key, each) for key, clauses in CLAUSES.items() for each in clauses])
def test_the_language_of_a_short_clause_is_told(language: str, clause: str) -> None:
    assert detect_language(clause) == language


@pytest.mark.parametrize("language", BEFORE)
@pytest.mark.parametrize("clause", ["Hm.", "42.", "Roma, 1998.", "No."])
def test_a_clause_without_evidence_is_in_the_language_of_the_text_before(language: str, clause: str) -> None:
    assert detect_language(clause, BEFORE[language]) == language


@pytest.mark.parametrize("language", BEFORE)
@pytest.mark.parametrize("other", BEFORE)
def test_a_sentence_can_change_the_language(language: str, other: str) -> None:
    assert detect_language(BEFORE[language], BEFORE[other]) == language


def test_text_in_a_language_without_voices_is_english() -> None:
    assert detect_language("今日はとても寒いです。") == "en"
    assert detect_language("Доброе утро!") == "en"
