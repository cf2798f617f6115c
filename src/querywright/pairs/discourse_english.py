"""How people put a request: wishes, questions with a verb, keywords, several sentences. Fits every API.

`{N}` is the noun phrase, `{P}` a predicate, `{C}` a condition, `{F}` a field, `{V}` a value, `{R}` fields to return.
In predicates `{have}`, `{be}`, `{do}` and the endings `{s}`, `{es}` follow the noun's number.
"""

from __future__ import annotations

# phrases read better in rows than in columns
# fmt: off

WISH = ["i need", "looking for", "i am looking for", "we are interested in", "i'm interested in", "my collaborator wants",
        "i want", "i would like", "i'd like to have", "we want to know about", "i'm trying to find", "trying to find", "need",
        "i have to find", "my boss asked me for", "what i need is", "what i'm after is", "i'm after", "i could use", "want",
        "we would like to look at", "a colleague asked for", "i should get", "we are looking for", "interested in", "i am searching for",
        "i'm searching for", "searching for", "i have to look up", "i want to look at", "we need to get", "help me get",
        "i was hoping to see", "it would help to have", "let's get", "let's see", "i'd love to see", "in need of", "i wish to see"]
FORMAL = ["would it be possible to obtain", "could you kindly provide", "i would be grateful for", "kindly retrieve", "i request",
          "please be so kind as to list", "would you mind listing", "may i ask for", "i would appreciate", "is it possible to get",
          "would you be able to find", "could you please retrieve", "i would like to request", "please provide", "kindly list"]
CONTEXT = ["i'm new to this. ", "we're writing a grant. ", "for a figure in our paper: ", "sorry to bother you, ", "for my thesis, ",
           "quick one: ", "one more thing. ", "i'm preparing slides. ", "for a student: ", "for the lab meeting tomorrow, ",
           "i hope you can help. ", "for a report: ", "this is for a review. ", "i'm checking something. ", "for our next experiment, ",
           "i'm a beginner, so please bear with me. ", "ok so ", "so, ", "alright: ", "for a course i teach: ", "good morning. "]

# predicates: which genes {P}?
HAS_WORD = ["{have} {F} {V}", "{have} the {F} {V}", "{have} {V} as {F}", "{have} {V} as the {F}", "{be} annotated with {F} {V}",
            "{be} linked to {F} {V}", "match{es} {F} {V}", "{have} {F} equal to {V}", "carr{ies} {F} {V}", "correspond{s} to {F} {V}",
            "{be} listed under {F} {V}", "go{es} with {F} {V}", "belong{s} to {F} {V}", "map{s} to {F} {V}", "{have} a {F} of {V}"]
HAS_TEXT = ["mention{s} {V} in the {F}", "{have} {V} in the {F}", "{have} the word {V} in the {F}", "contain{s} {V} in the {F}",
            "{have} a {F} that mentions {V}", "{have} a {F} containing {V}", "{have} a {F} with {V} in it", "{have} {F} {V}"]
HAS_PHRASE = ["mention{s} {V} in the {F}", "{have} {V} in the {F}", "{have} the phrase {V} in the {F}", "{have} a {F} containing {V}"]
HAS_PREFIX = ["{have} a {F} starting with {V}", "{have} a {F} that begins with {V}", "{have} a {F} with the prefix {V}"]
HAS_PATTERN = ["{have} a {F} like {V}", "{have} a {F} matching {V}", "{have} a {F} that fits the pattern {V}"]
HAS_ANY = ["{have} a {F}", "{have} any {F}", "{have} a known {F}", "{have} some {F}", "come{s} with a {F}", "do{es} have a {F}",
           "actually {have} a {F}", "{have} at least one {F}", "{have} a {F} at all", "{have} a {F} on record"]
HAS_NONE = ["{have} no {F}", "do{es} not have a {F}", "do{es}n't have a {F}", "lack{s} a {F}", "{be} missing a {F}", "{be} without a {F}",
            "do{es} not have any {F}", "{have} no known {F}", "never got a {F}", "{have} no {F} at all"]
HAS_BETWEEN = ["{have} a {F} between {A} and {B}", "{have} a {F} from {A} to {B}", "{have} a {F} in the range {A} to {B}"]
HAS_AT_LEAST = ["{have} a {F} of at least {A}", "{have} a {F} of {A} or more", "{have} a {F} no smaller than {A}",
                "{have} at least {A} as {F}"]
HAS_MORE = ["{have} a {F} above {A}", "{have} a {F} over {A}", "{have} a {F} larger than {A}", "{have} a {F} of more than {A}"]
HAS_AT_MOST = ["{have} a {F} of at most {A}", "{have} a {F} of {A} or less", "{have} a {F} no larger than {A}"]
HAS_LESS = ["{have} a {F} below {A}", "{have} a {F} under {A}", "{have} a {F} smaller than {A}", "{have} a {F} of less than {A}"]
HAS_FREE = ["match{es} {V}", "{be} related to {V}", "{have} to do with {V}", "{be} associated with {V}", "mention{s} {V}",
            "{be} connected with {V}", "{be} about {V}", "contain{s} {V}", "{be} involved in {V}", "{be} linked to {V}"]
LIES_IN = ["lie{s} in {I}", "{be} located in {I}", "{be} in {I}", "sit{s} in {I}", "overlap{s} {I}", "fall{s} in {I}",
           "{be} found within {I}", "map{s} to {I}", "{be} inside {I}", "fall{s} within {I}"]
WHICH = ["which {N} {P}?", "which {N} {P}?", "which of the {N} {P}?", "what {N} {P}?", "do you know which {N} {P}?",
         "can you tell me which {N} {P}?", "i'd like to know which {N} {P}", "i want to know which {N} {P}", "tell me which {N} {P}",
         "show me which {N} {P}", "find out which {N} {P}", "list the {N} which {P}", "i need every {N1} that {P1}",
         "give me those {N} that {P}", "all {N} that {P}", "the {N} that {P}", "i wonder which {N} {P}"]
WHICH_ONE = ["which {N} {P}?", "which {N} {P}?", "what {N} {P}?", "is there a {N} that {P}?", "is there any {N} that {P}?",
             "do you have a {N} that {P}?", "i need the {N} that {P}", "find the {N} that {P}", "the {N} that {P}",
             "which one is the {N} that {P}?", "can you tell me which {N} {P}?", "look for the {N} that {P}"]
THAT = ["that {P}", "which {P}", "that {P}"]

# a condition in a sentence of its own
ONLY_THOSE = ["only those {C}", "only the ones {C}", "keep only those {C}", "i only want the ones {C}", "restrict this to the ones {C}",
              "take only those {C}", "i mean those {C}", "narrow it down to those {C}", "it should be only those {C}"]
NOT_THOSE = ["leave out the ones {C}", "exclude those {C}", "i don't want the ones {C}", "drop those {C}", "skip the ones {C}",
             "not those {C}", "ignore the ones {C}", "please remove those {C}", "but none {C}", "throw out those {C}"]
NEITHER = ["but neither {A} nor {B}", "excluding both {A} and {B}", "without {A} and without {B}", "but not {A} and not {B}",
           "not {A}, not {B}"]
# fields before or behind, without a verb
COLON = ["{R}: {N}", "{N}: {R}", "{N} -> {R}", "{N}, {R}", "{N} ({R} only)", "{N} - {R}", "{N} ({R})", "{N} => {R}", "{R} <- {N}"]
PICK = ["fields: {R}", "columns: {R}", "output: {R}", "return: {R}", "what i need: {R}", "i need these fields: {R}", "fields = {R}",
        "show these columns: {R}", "attributes wanted: {R}", "please return the following: {R}", "get back {R}", "fields to return: {R}",
        "in the answer i want {R}", "i only care about {R}", "nothing but {R}", "all i need is {R}", "i just need {R}",
        "for each one give {R}", "for each of them {R}", "together with {R}", "along with {R}", "and tell me {R}", "{R} only",
        "{R} please", "{R} will do", "only {R} please", "just {R}, nothing else", "no other fields than {R}", "and their {R0}"]
OF_MORE = ["{R} from {N}", "could i have {R} of {N}?", "would you know {R} of {N}?", "which {R0} do we have for {N}?", "look {R} up for {N}",
           "please tell me {R} of {N}", "i am after {R} of {N}", "do you have {R} for {N}?", "do you know {R} of {N}?", "need {R} for {N}",
           "looking for {R} of {N}", "trying to get {R} for {N}", "can i get {R} of {N}?", "we need {R} of {N}", "pull {R} for {N}",
           "how do i get {R} of {N}?", "my collaborator wants {R} of {N}", "interested in {R} of {N}", "translate {N} to {R}",
           "give {R} for {N}", "can you look up {R} for {N}?", "could you tell me {R} of {N}?", "wanted: {R} of {N}", "{N}'s {R0}"]
# keywords
SIZE_SHORT = ["top {n}", "limit {n}", "first {n}", "{n} hits", "max {n}", "size {n}", "{n} results", "size={n}", "n={n}"]
FROM_SHORT = ["skip {n}", "offset {n}", "from {n}", "skip first {n}"]
SORT_SHORT = ["sort {F}", "by {F}", "sorted by {F}", "order {F}", "sort by {F}", "sort={F}"]
SORT_DOWN_SHORT = ["sort {F} desc", "by {F} descending", "{F} desc", "sort by {F} desc", "sorted by {F} descending", "reverse {F} order"]
FACET_SHORT = ["by {F}", "per {F}", "facet {F}", "counts per {F}", "count by {F}", "facets {F}", "{F} facet", "{F} counts"]
FIELDS_SHORT = ["{R}", "{R}", "{R}", ": {R}", "-> {R}", "fields {R}", "only {R}", "return {R}", "get {R}", "just {R}", "{R} only"]
ALL_SHORT = ["all fields", "full record", "full annotation", "every field"]
YES_SHORT = ["with {F}", "has {F}", "having {F}", "{F} present", "{F} exists", "must have {F}", "{F} available", "+{F}", "{F} yes"]
NO_SHORT = ["no {F}", "without {F}", "{F} missing", "lacking {F}", "w/o {F}", "no {F} at all", "minus {F}"]
# numbers that people say in words
STRICTLY = ["with {F} above {A} and below {B}", "{F} > {A} and < {B}", "whose {F} is strictly between {A} and {B}",
            "with a {F} greater than {A} but less than {B}", "with {F} between {A} and {B}, both excluded"]
FROM_BELOW = ["with {F} from {A} to below {B}", "{F} >= {A} and < {B}", "with a {F} of at least {A} but below {B}",
              "whose {F} is {A} or more and less than {B}", "with {F} between {A} and {B}, {B} itself excluded"]
ABOVE_TO = ["with {F} above {A} and up to {B}", "{F} > {A} and <= {B}", "with a {F} greater than {A} but at most {B}",
            "whose {F} is over {A} and no more than {B}"]
FIRST_BASES = ["in the first {L} of chromosome {C}", "within the first {L} of chr{C}", "on the first {L} of chromosome {C}"]
