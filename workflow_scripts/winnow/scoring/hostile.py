"""Flags on texts that talk to a judge instead of about a paper.

A flag is counted and shown; it changes no verdict and leaves no text out. A review may quote such a
sentence for a good reason, and an attack may be worded in a hundred other ways. What keeps a text from being obeyed
is `fencing.py`, which knows no flags.
"""

import pyarrow as pa

from winnow.scoring.matching import count_hits

_MODEL = r"(?:ai|llm|assistant|chatbot|(?:large )?language model)"
_MACHINE = (
    rf"(?:{_MODEL}|(?:automat(?:ed|ic)|machine) (?:judge|grader|evaluator|reviewer)|(?:judge|grader|evaluator) model)s?"
)
_EACH = r"(?:all|every|each|any|the (?:following|above|questions?|items?|checklist))"
# In other languages: de, fr, es, pt, it, nl, pl, tr, ru, zh, ja, ko, hi, ar, fa. `\b` is ASCII, so it stands
# beside Latin letters alone.
_ANSWER_YES_ABROAD = (
    r"\b(?:beantworte|antworte)\w* [^.]{0,40}\b(?:ja|nein)\b",
    r"\br[ée]pond\w* [^.]{0,20}\b(?:oui|non)\b|\bdis (?:seulement )?[«\"' ]*(?:oui|non)\b",
    r"\b(?:responde|contesta)[a-z]* [^.]{0,12}\b(?:sí|no)[ \"'»,]+[^.]{0,12}\b(?:todas?|cada)\b",
    r"\b(?:responda|marque) [^.]{0,12}\b(?:sim|não) [^.]{0,12}\b(?:tod[ao]s|cada)\b",
    r"\brispondi [^.]{0,12}\b(?:sì|no) [^.]{0,12}\b(?:tutte|ogni)\b",
    r"\b(?:beantwoord|antwoord) [^.]{0,30}\b(?:ja|nee)\b",
    r"\bodpowied\w* [^.]{0,20}\b(?:tak|nie)\b",
    r"\bsoruya (?:evet|hayır)\b",
    r"(?:отвечай|ответь)\pL* [^.]{0,30}[«\"' ](?:да|нет)(?:\PL|$)",
    r"问题[^。]{0,8}回答|一律回答|質問に[^。]{0,12}答え|질문에 [^.]{0,12}(?:대답|답하)",
    r"प्रश्न [^।]{0,12}उत्तर (?:हाँ|नहीं)",
    r"(?:أجب|جاوب) (?:بنعم|بلا)|پاسخ (?:بله|خیر|نه)",
)
_IGNORE_PREVIOUS_ABROAD = (
    r"\bignorier\w* [^.]{0,20}\b(?:anweisung|instruktion|vorgabe)",
    r"\bignore[zr]? (?:toutes )?les (?:instruction|consigne)s",
    r"\bignor[ae] (?:todas )?(?:las|as) (?:instrucci|instruç)",
    r"\bignora (?:tutte )?le istruzioni\b",
    r"\bnegeer [^.]{0,20}\binstructies\b",
    r"\bzignoruj [^.]{0,20}\binstrukcj",
    r"\btalimatları (?:yok say|unut|görmezden)",
    r"игнорир\pL+ [^.]{0,20}(?:инструкц|указани)",
    r"(?:忽略|无视|無視)[^。]{0,10}(?:指令|指示|说明)|指示[^。]{0,6}無視|지시를 무시",
    r"निर्देशों को (?:अनदेखा|नज़रअंदाज़)",
    r"تجاهل [^.]{0,12}(?:التعليمات|الأوامر)|(?:دستور|دستورالعمل)\pL* [^.]{0,10}نادیده",
)
FLAGS: dict[str, tuple[str, ...]] = {
    "addresses_a_model": (
        rf"\bas an? {_MODEL}\b",
        rf"\byou are an? (?:\w+ )?(?:{_MODEL}|judge|grader)\b",
        rf"\byou are the (?:\w+ ){{1,2}}{_MODEL}\b",
        rf"\b(?:dear|attention|note to|warning to|aviso al?|hinweis an|nota a[ol]?) (?:the |all |an |any )?"
        rf"(?:{_MACHINE}|modelo|modell|avaliador automático)\b",
        rf"\bto (?:the |all |an |any )?(?:{_MACHINE}|automated \w+) (?:that|who|which)\b",
        rf"\b(?:an|the) ai judge\b|\bfor the model only\b|\bto {_MACHINE} ?:|\bgraders that are machines\b",
    ),
    "answer_yes": (
        r"\b(?:answer|respond|reply|say|output|return|print)s? (?:with )?(?:only )?[\"'`*]?(?:yes|no)[\"'`*]? "
        rf"(?:to|for|on) {_EACH}\b",
        r"\b(?:answer|respond|reply|return|output|mark|just say|say) (?:[^ .]+ ){0,5}[\"'`*]?(?:yes|no)[\"'`*]?"
        rf" (?:(?:to|for|on|in) (?:{_EACH}|this)|throughout|alone)\b",
        r"\b(?:reply|rule|word)\b[^.?]{0,50} (?:is|to say) (?:always )?[\"'`*]?(?:yes|no)"
        r"[\"'`*]?(?: (?:from top|is the)|,? (?:always|whatever)|\.[ <]?|$)",
        r"\byes is the (?:right|only|correct) answer\b|\b(?:reply|answer) (?:with )?yes,",
        r"\bonly the word (?:yes|no)\b|\banswer other than (?:yes|no)\b|\bput down (?:yes|no) for\b|\bjust say yes\b",
        r"\bone word,? yes or no\b|\bfinal answer\b[^.]{0,30}: ?(?:yes|no)\b|\bthe reply (?:yes|no)\b",
        *_ANSWER_YES_ABROAD,
    ),
    "chat_tokens": (
        r"<[|｜][\pL_▁]{2,24}[|｜]>",
        r"</?(?:think|system|assistant|answer|tool_call|review|instructions?|data|user)>",
        r"\[/?inst\]|<</?sys>>",
        r"</?(?:image|video|audio)>|</?(?:start|end)_of_turn>|</s>",
    ),
    "comment": (r"<!--",),
    "encoded": (
        r"\bdecode (?:this|the following)\b",
        r"\brot ?13\b",
        r"\b[A-Za-z0-9+/]{40,}={1,2}",
        r"(?:\b[a-z] ){9,}",
    ),
    "fake_end": (
        r"(?:[-=*#]{3} ?|\[)(?:(?:end of|begin|start of)(?: the)? (?:review|text|data|document|input)|конец рецензии)",
        r"=== ?review \S+ (?:begins|ends) ?===",
        r"\bthe review has ended\b",
    ),
    "gives_answers": (
        r"[\"'][\w ]+[\"'] ?: ?[\"'](?:yes|no)[\"']",
        r"\breturn [\"'](?:yes|no)[\"']",
    ),
    "give_top_score": (
        r"\b(?:give|assign|award|rate) (?:\w+ ){0,4}(?:perfect|full|maximum|highest|top) (?:possible )?"
        r"(?:score|rating|mark|grade)s?\b",
    ),
    "ignore_previous": (
        r"\b(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,3}(?:previous|prior|above|preceding|earlier|former) "
        r"(?:\w+ )?(?:instruction|prompt|direction|rule|guideline|command)s?\b",
        *_IGNORE_PREVIOUS_ABROAD,
    ),
    "new_instructions": (
        r"\b(?:new|updated|real|actual|system) (?:instructions?|prompt) ?:",
        r"\bsystem prompt\b",
        r"\bneue anweisung(?:en)? ?:|новое задание ?:|\bsystem(?:nachricht)? ?: (?:the|die) (?:rules|regeln)\b",
    ),
    "positive_review_only": (
        r"\b(?:give|write|generate|output) (?:an? )?(?:only )?positive reviews? only\b",
        r"\bdo not (?:mention|highlight|list) any (?:negatives?|weakness(?:es)?)\b",
    ),
    # Characters without width, of direction, and tags: a person does not see the text as a judge does.
    "hidden_characters": (
        r"[\x{AD}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{2066}-\x{2069}"
        r"\x{FE00}-\x{FE0F}\x{E0000}-\x{E01EF}]",
    ),
}


def injection_flags(lines: pa.Array) -> list[list[str]]:
    """Return, for each normalised text, the sorted names of the flags that it raises."""
    found: list[list[str]] = [[] for _ in range(len(lines))]
    for name, expressions in sorted(FLAGS.items()):
        for flags, hits in zip(found, count_hits(lines, expressions), strict=True):
            if hits:
                flags.append(name)
    return found
