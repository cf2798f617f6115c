"""Follow-up sentences: how people change what they have just asked for. Fits every API.

`{C}` is a condition, `{S}` a vocabulary in a phrase, `{R}` fields, `{V}` and `{W}` values, `{X}` any request.
"""

from __future__ import annotations

# phrases read better in rows than in columns
# fmt: off

ADD = ["and {C}", "only those {C}", "keep only the ones {C}", "now only those {C}", "also {C}", "they should be ones {C}",
       "restrict that to those {C}", "of these only the ones {C}", "narrow it down to those {C}", "and of those only the ones {C}",
       "filter for those {C}", "just the ones {C}, please", "add the condition: {C}", "but only {C}"]
DROP = ["but not those {C}", "without the ones {C}", "leave out those {C}", "except those {C}", "and exclude the ones {C}",
        "remove those {C}", "now without those {C}", "skip the ones {C}", "not the ones {C}", "please drop those {C}"]
SWAP = ["no, make it {V}", "no, {V}", "i meant {V}", "{V} instead", "sorry, i meant {V} instead of {W}", "change {W} to {V}",
        "the same for {V}", "use {V} instead of {W}", "not {W} but {V}", "replace {W} with {V}", "actually {V}", "and for {V}?",
        "what about {V}?", "now {V}", "same with {V}", "{V}, not {W}", "oops, {V}"]
OR = ["or {C}", "also those {C}", "and those {C} too", "or else {C}", "include the ones {C} as well", "or alternatively {C}"]
NARROW = ["only {S}", "just {S}", "{S} only", "but only {S}", "and only {S}", "restrict it {S}", "limit that {S}", "now {S}", "{S} please",
          "i mean {S}", "{S}", "the same {S}", "can you do that {S}?", "but {S}"]
MOVE = ["now {S}", "the same {S}", "and {S}?", "what about {S}?", "{S} instead", "no, {S}", "sorry, {S}", "and the same {S}", "how about {S}?",
        "change that: {S}", "not that species, {S}", "repeat it {S}"]
RETURN = ["give me {R}", "only {R}", "just {R} please", "return only {R}", "i only need {R}", "show {R}", "which {R0} do they have?",
          "with {R} only", "as fields i want {R}", "reduce that to {R}", "i just want {R}"]
ALSO = ["also give me {R}", "and {R}", "add {R}", "with {R} too", "also {R}", "plus {R}", "and {R} as well", "i also need {R}", "include {R} too",
        "can i have {R} too?", "add {R} to the output", "show {R} as well", "and also return {R}", "with {R} in addition"]
WITHOUT = ["without {R}", "leave out {R}", "drop {R}", "i don't need {R}", "no {R0} please", "remove {R} from the output", "minus {R}",
           "skip {R}", "but not {R}", "you can leave {R} away"]
NEXT_PAGE = ["next page", "the next page please", "show me the next {n}", "more", "the next {n}", "next {n} please", "and the following {n}?",
             "go on", "what comes next?", "next ones", "continue with the next {n}"]
MORE = ["{n} instead", "make it {n}", "{n} are enough", "no, {n} of them", "show {n} instead of {m}", "give me {n} instead"]
ANEW = ["new question: {X}", "something else: {X}", "forget that. {X}", "another question: {X}", "start over: {X}", "different topic: {X}",
        "ok, now something different: {X}", "never mind. {X}", "next question - {X}", "{X}"]
