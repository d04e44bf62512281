"""The nine questions beside the picture, in the words that an app shows: what anybody can say without an instrument.

They are the answers that PAD-UFES-20 has of its patients (Pacheco et al., Data in Brief 32:106221, 2020): age, gender,
region, itch, grew, hurt, changed, bleed, elevation. Each of them may stay unanswered.
"""

from __future__ import annotations

from edge.questionnaire import CHOICE, NUMBER, YES_NO, Choice, Question, in_order

Words = tuple[str, str, str, str]  # in the order of LANGUAGES

LANGUAGES = ("en", "de", "es", "pt")
AGE_KNOTS = (20.0, 40.0, 60.0, 80.0)  # years; between them an answer counts in proportion, beyond them like the last

GENDERS: dict[str, Words] = {
    "female": ("female", "weiblich", "femenino", "feminino"),
    "male": ("male", "männlich", "masculino", "masculino"),
}
REGIONS: dict[str, Words] = {
    "scalp": ("scalp (under the hair)", "Kopfhaut", "cuero cabelludo", "couro cabeludo"),
    "face": ("face, elsewhere than on nose, lip or ear", "Gesicht, außer Nase, Lippe und Ohr",
             "cara, excepto nariz, labio y oreja", "rosto, exceto nariz, lábio e orelha"),
    "ear": ("ear", "Ohr", "oreja", "orelha"),
    "nose": ("nose", "Nase", "nariz", "nariz"),
    "lip": ("lip", "Lippe", "labio", "lábio"),
    "neck": ("neck", "Hals oder Nacken", "cuello", "pescoço"),
    "chest": ("chest", "Brust", "pecho", "peito"),
    "abdomen": ("belly", "Bauch", "vientre", "barriga"),
    "back": ("back", "Rücken", "espalda", "costas"),
    "arm": ("upper arm or shoulder", "Oberarm oder Schulter", "brazo u hombro", "braço ou ombro"),
    "forearm": ("forearm, between elbow and hand", "Unterarm", "antebrazo", "antebraço"),
    "hand": ("hand", "Hand", "mano", "mão"),
    "thigh": ("thigh", "Oberschenkel", "muslo", "coxa"),
    "foot": ("foot", "Fuß", "pie", "pé"),
}  # fmt: skip
YES_OR_NO: dict[str, Words] = {
    "itches": ("Does the spot itch?", "Juckt die Stelle?", "¿Le pica la mancha?", "A mancha coça?"),
    "grew": ("Has the spot become larger lately?", "Ist die Stelle in letzter Zeit größer geworden?",
             "¿Ha crecido la mancha últimamente?", "A mancha cresceu nos últimos tempos?"),
    "hurts": ("Does the spot hurt?", "Tut die Stelle weh?", "¿Le duele la mancha?", "A mancha dói?"),
    "changed": ("Has the spot changed its shape or colour lately?",
                "Hat die Stelle in letzter Zeit Form oder Farbe verändert?",
                "¿Ha cambiado la mancha de forma o color últimamente?",
                "A mancha mudou de forma ou de cor nos últimos tempos?"),
    "bleeds": ("Does the spot bleed, or has it bled?", "Blutet die Stelle, oder hat sie geblutet?",
               "¿Sangra la mancha, o ha sangrado?", "A mancha sangra, ou já sangrou?"),
    "raised": ("Can you feel that the spot is raised above the skin around it?",
               "Ist zu fühlen, dass die Stelle höher ist als die Haut ringsum?",
               "¿Se nota al tacto que la mancha sobresale de la piel?",
               "Dá para sentir que a mancha é mais alta que a pele ao redor?"),
}  # fmt: skip


def in_languages(words: Words) -> dict[str, str]:
    """Language -> words, English first."""
    return dict(zip(LANGUAGES, words, strict=True))


def choices_of(table: dict[str, Words]) -> tuple[Choice, ...]:
    return tuple(Choice(code, in_languages(words)) for code, words in table.items())


QUESTIONS: tuple[Question, ...] = in_order(
    [
        Question(
            "age", in_languages(("How old are you?", "Wie alt sind Sie?", "¿Qué edad tiene?", "Qual é a sua idade?")),
            NUMBER, 0, 0, unit="years", min=0.0, max=120.0, knots=AGE_KNOTS,
        ),
        Question(
            "gender", in_languages(("What is your sex?", "Welches Geschlecht haben Sie?", "¿Cuál es su sexo?",
                                    "Qual é o seu sexo?")),
            CHOICE, 0, 0, choices=choices_of(GENDERS),
        ),
        Question(
            "region", in_languages(("Where on the body is the spot?", "Wo am Körper ist die Stelle?",
                                    "¿En qué parte del cuerpo está la mancha?",
                                    "Em que parte do corpo está a mancha?")),
            CHOICE, 0, 0, choices=choices_of(REGIONS),
        ),
        *(Question(code, in_languages(words), YES_NO, 0, 0) for code, words in YES_OR_NO.items()),
    ]
)  # fmt: skip
