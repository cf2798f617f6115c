"""Phrases that fit every API: what the template teacher builds sentences from.

`{N}` is the noun phrase (what is asked for, with its conditions), `{F}` a field in words, `{V}` a value, `{R}` the
fields to return in words, `{S}` a vocabulary's word.
"""

from __future__ import annotations

# phrases read better in rows than in columns
# fmt: off

FIND = """find|find me|get|get me|search for|show|show me|list|give me|retrieve|look up|look for|fetch|return|i need|i want
|i'd like|i am looking for|i'm looking for|please find|please list|please get|can you find|could you find|can you show me
|could you list|would you get me|query for|pull up|display|search|can i get|can i see|let me see|bring up|i would like to see
|help me find|we need|i want to see|tell me|please show|find all|list all|get all|show all|search the database for"""
FIND_LIST = [" ".join(v.split()) for v in FIND.replace("\n", "").split("|")]

ASK = ["which {N}?", "what are the {N}?", "which {N} are there?", "what {N} are there?", "are there any {N}?",
       "do you have {N}?", "what are {N}?", "which are the {N}?", "where can i find {N}?", "what do we know about {N}?",
       "any {N}?", "are there {N}?", "which {N} do you know?"]
ASK_ONE = ["which is the {N}?", "what is the {N}?", "is there a {N}?", "what's the {N}?", "do you have a {N}?", "which {N} is it?",
           "is there any {N}?", "what do you have on the {N}?", "can you find the {N}?", "where is the {N}?", "which {N}?"]
HOW_MANY = ["how many {N} are there?", "how many {N}?", "what is the number of {N}?", "count the {N}"]

# conditions that stand behind a noun
WORD = ["with {F} {V}", "with the {F} {V}", "with {F} {V}", "whose {F} is {V}", "whose {F} is {V}", "where the {F} is {V}",
        "where {F} is {V}", "having {F} {V}", "having the {F} {V}", "that have {F} {V}", "that has the {F} {V}",
        "with {V} as {F}", "with {V} as the {F}", "for {F} {V}", "for the {F} {V}", "matching {F} {V}", "by {F} {V}",
        "{F} {V}", "{F}: {V}", "{F} = {V}", "{F} equal to {V}", "with {F} equal to {V}", "identified by {F} {V}",
        "annotated with {F} {V}", "linked to {F} {V}", "associated with {F} {V}", "under {F} {V}", "whose {F} equals {V}",
        "that has {V} as its {F}", "carrying {F} {V}", "corresponding to {F} {V}", "that match {F} {V}",
        "with a {F} of {V}", "with {V} in {F}", "that belongs to {F} {V}", "containing {F} {V}", "of {F} {V}",
        "using {F} {V}", "from {F} {V}", "that maps to {F} {V}", "behind {F} {V}", "which have {F} {V}"]
TEXT = ["whose {F} mentions {V}", "whose {F} contains {V}", "whose {F} includes {V}", "with {V} in the {F}",
        "with {V} in their {F}", "with {F} containing {V}", "that mention {V} in the {F}", "with the word {V} in the {F}",
        "where the {F} contains {V}", "where {F} mentions {V}", "{F} {V}", "{F}: {V}", "{F} contains {V}", "with {F} {V}",
        "whose {F} has {V} in it", "whose {F} is {V}", "with a {F} about {V}", "having {V} in the {F}",
        "matching {V} in the {F}", "whose {F} matches {V}", "with {V} as {F}", "whose {F} talks about {V}"]
TEXT_PHRASE = ["whose {F} contains the phrase {V}", "with the phrase {V} in the {F}", "with the exact phrase {V} in the {F}",
               "whose {F} contains {V}", "whose {F} mentions {V}", "with {F} {V}", "with {V} in the {F}", "whose {F} is {V}",
               "where the {F} includes {V}", "{F} {V}", "{F}: {V}", "matching the {F} {V}", "with the {F} {V}", "named {V} in the {F}"]
TRUE = ["where {F} is true", "whose {F} is true", "with {F} true", "with {F} set to true", "for which {F} is true",
        "{F} = true", "with {F} equal to true"]
FALSE = ["where {F} is false", "whose {F} is false", "with {F} false", "with {F} set to false", "for which {F} is false",
         "{F} = false", "for which {F} is not true"]
PREFIX = ["whose {F} starts with {V}", "with {F} starting with {V}", "with a {F} beginning with {V}", "whose {F} begins with {V}",
          "{F} starting with {V}", "where the {F} starts with {V}", "with {F} prefix {V}", "having a {F} that starts with {V}",
          "whose {F} has the prefix {V}", "with {F} {V} followed by anything"]
PATTERN = ["with {F} {V}", "with {F} matching {V}", "whose {F} matches {V}", "{F} {V}", "with a {F} like {V}",
           "where {F} matches the pattern {V}", "matching {F} {V}", "whose {F} looks like {V}", "with the {F} pattern {V}",
           "whose {F} fits {V}", "using the wildcard {V} on the {F}"]
ONE_MORE = ["whose {F} is {V} plus one more character", "whose {F} is {V} followed by a single character",
            "with {F} {V} and exactly one more character", "{F} {V} plus any one character"]
GAP = ["whose {F} starts with {V} and ends with {W}", "with a {F} that begins with {V} and ends in {W}",
       "{F} from {V} to {W} with anything between"]
BETWEEN = ["with {F} between {A} and {B}", "whose {F} is between {A} and {B}", "with a {F} from {A} to {B}",
           "{F} between {A} and {B}", "where the {F} lies between {A} and {B}", "with {F} in the range {A} to {B}",
           "{F} {A} to {B}", "whose {F} ranges from {A} to {B}", "with {F} in {A}-{B}", "having a {F} from {A} to {B}"]
MORE = ["with {F} greater than {A}", "with {F} above {A}", "whose {F} is over {A}", "with a {F} larger than {A}",
        "{F} > {A}", "whose {F} is more than {A}", "where {F} is higher than {A}", "whose {F} exceeds {A}"]
AT_LEAST = ["with {F} at least {A}", "with a {F} of at least {A}", "{F} >= {A}", "whose {F} is {A} or more",
            "whose {F} is at least {A}", "with {F} from {A} upwards", "whose {F} is no less than {A}", "{F} of {A} or higher"]
LESS = ["with {F} less than {A}", "with {F} below {A}", "whose {F} is under {A}", "{F} < {A}", "with a {F} smaller than {A}",
        "whose {F} is lower than {A}", "where {F} is less than {A}"]
AT_MOST = ["with {F} at most {A}", "with a {F} of at most {A}", "{F} <= {A}", "whose {F} is {A} or less", "with {F} up to {A}",
           "whose {F} does not exceed {A}", "whose {F} is no more than {A}", "{F} of {A} or lower"]
EXISTS = ["that have a {F}", "with a {F}", "with any {F}", "having a {F}", "with a known {F}", "for which a {F} exists",
          "that have {F}", "where the {F} is present", "with at least one {F}", "that come with a {F}", "where {F} exists",
          "which have a {F}", "with {F} available", "that have a value for {F}", "that contain {F}", "with an existing {F}",
          "for which there is a {F}", "that do have a {F}", "with some {F}", "where a {F} is available", "with {F}"]
LACKS = ["without a {F}", "without {F}", "without any {F}", "lacking a {F}", "missing a {F}", "with no {F}", "that have no {F}",
         "that do not have a {F}", "that don't have a {F}", "where the {F} is missing", "for which no {F} exists", "that lack {F}"]
FREE = ["matching {V}", "related to {V}", "for {V}", "about {V}", "mentioning {V}", "containing {V}", "that match {V}",
        "matching the term {V}", "with {V}", "that mention {V}", "involving {V}", "for the term {V}", "matching the keyword {V}",
        "having to do with {V}", "associated with {V}", "that contain {V}", "on {V}", "connected to {V}"]
FREE_PHRASE = ["matching the phrase {V}", "matching the exact phrase {V}", "containing the phrase {V}", "with the exact phrase {V}",
               "mentioning {V}", "matching {V}", "for {V}", "about {V}", "related to {V}", "with the phrase {V}"]
FREE_ONE_MORE = ["matching {V} plus any one character", "matching {V} followed by a single character", "for {V} and one more character",
                 "that match {V} with one character after it", "starting with {V} and one character more",
                 "matching {V} with a single-character wildcard at the end"]
INTERVAL = ["in {I}", "in the region {I}", "in the interval {I}", "located in {I}", "within {I}", "overlapping {I}", "at {I}",
            "in the genomic region {I}", "that lie in {I}", "between {I}", "on {I}", "found in {I}", "that overlap {I}",
            "inside {I}", "for the locus {I}", "from {I}", "located at {I}", "in the genome interval {I}"]
INTERVAL_WORDS = ["on chromosome {C} between {A} and {B}", "on chromosome {C} from {A} to {B}", "on chr{C} between {A} and {B}",
                  "on chr {C} from position {A} to {B}", "located between {A} and {B} on chromosome {C}",
                  "between positions {A} and {B} of chromosome {C}", "on chromosome {C}, {A} to {B}",
                  "on chromosome {C} between base {A} and base {B}", "in chromosome {C} from {A} to {B} bp"]
POSITION = ["at {I}", "at the position {I}", "at position {I}", "located at {I}", "on {I}", "{I}", "for the position {I}", "found at {I}"]
POSITION_WORDS = ["at position {A} on chromosome {C}", "on chromosome {C} at position {A}", "at {A} on chromosome {C}",
                  "on chr{C} at {A}", "at base {A} of chromosome {C}", "on chromosome {C}, position {A}"]
ASSEMBLIES = {"hg19": ["hg19", "GRCh37", "hg19"], "hg38": ["hg38", "GRCh38", "hg38"], "mm9": ["mm9", "NCBI37", "mm9"],
              "mm10": ["mm10", "GRCm38", "mm10"]}
ASSEMBLY = ["({G})", "in {G}", "using {G} coordinates", "on {G}", "in the {G} assembly", "with {G} positions", "of {G}"]

BUT_NOT = ["but not {C}", "excluding those {C}", "except those {C}", "and not {C}", "but not those {C}", "except the ones {C}",
           "leaving out those {C}", "not {C}", "but exclude those {C}", "that are not {C}"]
BUT_NOT_WORD = ["but not {V}", "excluding {V}", "except {V}", "and not {V}", "without {V}", "but exclude {V}", "not {V}",
                "leaving out {V}", "but without {V}"]

# requests about the answer
RETURN = ["return {R}", "return only {R}", "show only {R}", "give me {R}", "just {R}", "only {R}", "include {R}", "show {R}",
          "i only need {R}", "i need {R}", "with {R} only", "list {R}", "output {R}", "and return {R}", "return just {R}",
          "i want {R}", "report {R}", "get {R}", "with just {R}", "show me {R}", "fields: {R}", "fields {R}",
          "limited to the fields {R}", "and show {R}", "and give me {R}", "with {R} in the output", "display {R}",
          "keep only {R}", "including {R}", "return the fields {R}", "give {R} only", "restrict the output to {R}"]
RETURN_ALL = ["return all fields", "with all fields", "with every field", "show every field", "give me all available fields",
              "include all fields", "full records", "with the complete annotation", "return the full record", "all fields please",
              "fields: all", "with all their annotation", "and don't leave out any field", "the whole record of each", "all columns",
              "with full annotation", "every available field", "complete records please"]
OF = ["{R} of {N}", "{R} for {N}", "get {R} of {N}", "get {R} for {N}", "give me {R} of {N}", "show me {R} for {N}",
      "what is {R} of {N}?", "what are {R} of {N}?", "what's {R} for {N}?", "list {R} of {N}", "find {R} of {N}",
      "find {R} for {N}", "i need {R} of {N}", "i want {R} for {N}", "look up {R} for {N}", "retrieve {R} for {N}",
      "tell me {R} of {N}", "return {R} for {N}", "can you give me {R} of {N}?", "could you show {R} for {N}?",
      "show {R} of {N}", "which {R0} does {N1} have?", "please give {R} for {N}", "fetch {R} for {N}", "report {R} of {N}",
      "for {N}, give me {R}", "for {N}, show {R}", "for {N} return {R}", "i'd like {R} of {N}", "map {N} to {R}",
      "convert {N} to {R}", "what {R0} is there for {N}?", "extract {R} for {N}"]
SIZE = ["limit to {n}", "limit {n}", "at most {n} results", "only {n} hits", "max {n}", "no more than {n}", "return {n} results",
        "show {n}", "{n} results", "just {n} results", "size {n}", "limit it to {n} results", "up to {n} hits", "top {n}",
        "first {n}", "give me {n} hits", "show the first {n}", "only the first {n}", "a maximum of {n}", "{n} hits per page",
        "limited to {n} hits", "show the top {n}", "with {n} hits", "keep it to {n}", "return at most {n}", "return the top {n}"]
SIZE_ONE = ["just one", "only one result", "a single hit", "only the top hit", "just the best match", "only the first hit",
            "return one result", "limit to 1", "size 1", "one result only", "just the first result", "the top result only"]
SIZE_ZERO = ["no hits, only the count", "don't return any hits", "size 0", "without any hits", "just the counts, no hits",
             "zero hits", "only the total, no records", "with 0 hits"]
FROM = ["skip the first {n}", "skip {n}", "starting at offset {n}", "offset {n}", "from {n}", "after the first {n}",
        "starting after {n}", "skipping {n} results", "skip the first {n} results", "start from result {n}", "from offset {n}",
        "leaving out the first {n}"]
NEXT = ["the next {n} after the first {m}", "results {a} to {b}", "the next {n} after skipping {m}", "page {p} with {n} per page",
        "page {p}, {n} results per page", "hits {a}-{b}", "{n} results starting from {m}", "skip {m} and show the next {n}"]
SORT = ["sorted by {F}", "sort by {F}", "ordered by {F}", "order by {F}", "in order of {F}", "sorted on {F}", "sort them by {F}",
        "ranked by {F}", "arranged by {F}", "sorted by {F} ascending", "in ascending order of {F}", "order them by {F}",
        "sorted by increasing {F}", "with the lowest {F} first"]
SORT_DOWN = ["sorted by {F} descending", "sort by {F} in descending order", "ordered by {F}, descending", "sorted by descending {F}",
             "in descending order of {F}", "sorted by {F} from high to low", "with the highest {F} first", "reverse sorted by {F}",
             "order by {F} desc", "sort by {F}, largest first", "sorted by {F} in reverse order", "sorted by decreasing {F}"]
FACET = ["facet by {F}", "with facets on {F}", "broken down by {F}", "with counts per {F}", "count them by {F}", "counts by {F}",
         "grouped by {F}", "aggregate by {F}", "with a breakdown by {F}", "and how many per {F}", "with a facet on {F}",
         "with the number per {F}", "faceted by {F}", "split by {F}", "and count per {F}", "aggregated on {F}",
         "with facet counts for {F}", "show facets for {F}", "and tell me how they split by {F}", "group by {F}"]
FACET_ASK = ["how many {N} are there per {F}?", "count {N} by {F}", "how many {N} by {F}?", "break down {N} by {F}",
             "facet {N} by {F}", "distribution of {N} over {F}", "how do {N} split by {F}?", "counts of {N} per {F}",
             "number of {N} for each {F}", "aggregate {N} by {F}", "group {N} by {F}", "{F} breakdown of {N}",
             "{F} counts for {N}", "what is the {F} distribution of {N}?"]
FACET_SIZE = ["with {n} facet values", "top {n} buckets", "show {n} buckets", "facet size {n}", "{n} facet buckets",
              "up to {n} categories", "the {n} most frequent ones", "{n} facet entries"]
FACET_FILTER = ["show only {S} hits but keep the facet counts", "filter the hits to {S} without changing the facets",
                "with a {P} facet filter on {S}", "{P} facet filter {S}", "only display {S} hits, facets unchanged"]
# parameters that more than one API has under the same name
FLAGS = {
    "dotfield": ["flattened with dot notation", "use dotfield notation", "in dot notation", "flat output with dotted names",
                 "as flattened fields", "dotfield on", "no nested objects, use dotted keys"],
    "fetch_all": ["fetch all results", "fetch all of them", "fetch all hits", "stream all results", "get every hit with fetch_all",
                  "return all hits, not just the first page", "scroll through all results", "download all of them", "all of them",
                  "all results without paging", "fetch everything", "everything, not just the first hits", "every single hit",
                  "no paging", "without paging", "the complete list", "i need the complete list", "give me the entire result set",
                  "the full list of results", "all hits at once", "don't stop at the first page", "every last one of them",
                  "return the whole set", "all matching records, no limit", "no limit on the results", "without any limit",
                  "don't page, give me everything", "i want them all, not a page of them", "the entire list please", "get them all",
                  "download the full result set", "export all hits", "dump all results", "all results please", "fetch_all",
                  "in one go without pages", "stream them all", "every result there is", "give me all of them", "all hits"],
}
ITEM = ["get {N} {V}", "{N} {V}", "show {N} {V}", "fetch {N} {V}", "show me {N} {V}", "give me {N} {V}", "retrieve {N} {V}",
        "get the record of {N} {V}", "annotation for {N} {V}", "show the annotation of {N} {V}", "{N} annotation {V}",
        "what is {N} {V}?", "get the {N} object for {V}", "everything about {N} {V}", "details of {N} {V}", "open {N} {V}",
        "i need {N} {V}", "look up {N} {V}", "{N} info for {V}", "tell me about {N} {V}", "pull up {N} {V}",
        "get the annotation for {N} id {V}", "get {N} information for {V}", "full annotation of {N} {V}", "load {N} record {V}"]
ITEM_NOUNS = ["{N}", "{N}", "{N}", "the {N}", "{N} record", "{N} entry", "{N} id"]
# words without a field, by what they look like; {N} and {Ns} the API's noun
BARE = {
    "phrase": ["{V}", "the phrase {V}", "the exact phrase {V}", "{V} {Ns}", "{Ns} for {V}"],
    "wild": ["{V}", "{V} {Ns}", "everything like {V}", "anything matching {V}", "{Ns} {V}", "all {V} {Ns}", "the pattern {V}"],
    "id": ["{V}", "anything matching {V}", "hits for {V}", "matches for {V}", "results for {V}"],
    "word": ["{V}", "{V} {Ns}", "{Ns} about {V}", "anything related to {V}", "{V} related {Ns}", "{V}-related {Ns}",
             "anything on {V}", "{Ns} that have to do with {V}", "hits for {V}", "{V} {N}"],
    "name": ["{V}", "{V}", "the {N} {V}", "the {V} {N}", "{V} {N}", "{N} {V}", "anything matching {V}", "hits for {V}",
             "information on {V}", "{V} {Ns}", "entries for {V}", "anything about {V}", "info about {V}"],
}
# a vocabulary's word, {S}, where the lexicon gives no phrases; {P} the parameter in words
SCOPE_IN = ["for {P} {S}", "with {P} {S}", "of {P} {S}", "({P} {S})"]
SCOPE_AFTER = ["{P} {S}", "{P}: {S}", "{P} = {S}", "for {P} {S}", "only {P} {S}", "limited to {P} {S}", "restrict to {P} {S}",
               "with {P} {S}", "use {P} {S}", "restricted to {P} {S}"]
GLUE = [" and ", " and ", ", ", " and also ", " and ", " and additionally "]
SCOPE_FRONT = ["for {P} {S}"]
SCOPE_NUMBER = ["{S}"]
# requests about the service itself
METADATA = {
    "metadata": ["show the metadata of the service", "what data sources and versions does the API use?", "get the API metadata",
                 "when was the data last updated?", "give me the release and source versions", "metadata please",
                 "how many records are in the database in total? show the metadata", "service metadata and statistics"],
    "fields": ["which fields are available?", "list all available fields", "show me the fields I can query",
               "what fields does the API have?", "get the field metadata", "describe the available fields",
               "list of queryable fields"],
}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
           "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
BEFORE = ["please ", "hi, ", "hello, ", "hey, ", "ok, ", "for my project ", "quick question: ", "for a talk, ", "now "]
AFTER = [" please", ", please", " thanks", ", thanks", " for me", " if possible"]
