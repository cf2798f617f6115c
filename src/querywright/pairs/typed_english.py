"""Phrases for the parameters of typed APIs: what `typed_say.py` builds clauses from.

`{F}` a parameter in words, `{V}` its value, `{A}` and `{B}` the two ends of a range, `{R}` a radius,
`{N}` the noun phrase.
"""

from __future__ import annotations

# phrases read better in rows than in columns
# fmt: off

# ranges over a quantity, beside those of english.py
BETWEEN = ["of {F} {A} to {B}", "with {F} {A} to {B}", "{F} from {A} to {B}", "between {F} {A} and {B}", "of {F} between {A} and {B}",
           "with {F} from {A} to {B}", "{F} {A}-{B}"]
AT_LEAST = ["above {F} {A}", "of {F} {A} and above", "of {F} {A} or more", "{F} {A}+", "with {F} over {A}", "of at least {F} {A}",
            "with minimum {F} {A}", "minimum {F} {A}", "min {F} {A}", "{F} {A} and up", "with {F} {A} or higher",
            "with {F} above {A}", "{F} above {A}", "{F} over {A}", "not below {F} {A}", "{F} starting from {A}"]
AT_MOST = ["below {F} {A}", "of {F} {A} and below", "of {F} {A} or less", "up to {F} {A}", "with {F} under {A}", "of at most {F} {A}",
           "with maximum {F} {A}", "maximum {F} {A}", "max {F} {A}", "{F} {A} or lower", "with {F} below {A}", "{F} below {A}",
           "{F} under {A}", "not above {F} {A}", "with {F} up to {A}"]
EXACTLY = ["of {F} {A}", "with {F} {A}", "with a {F} of {A}", "whose {F} is {A}", "with {F} of exactly {A}"]
# ranges over the main date, which needs no name
WHEN = ["between {A} and {B}", "from {A} to {B}", "from {A} until {B}", "since {A} and before {B}", "between {A} and {B}",
        "after {A} and before {B}", "dated between {A} and {B}", "in the time from {A} to {B}", "from {A} through {B}",
        "in the period {A} to {B}", "{A} to {B}", "starting {A} and ending {B}"]
WHEN_MONTH = ["in {M}", "during {M}", "from {M}", "of {M}", "throughout {M}", "in the month of {M}"]
WHEN_YEAR = ["in {M}", "during {M}", "from {M}", "of {M}", "throughout {M}", "in the year {M}"]
WHEN_DAY = ["on {A}", "from {A}", "of {A}", "on the day {A}"]
SINCE = ["since {A}", "after {A}", "from {A} on", "from {A} onwards", "starting {A}", "since {A}", "later than {A}", "starting from {A}",
         "not before {A}", "beginning {A}"]
UNTIL = ["until {B}", "before {B}", "up to {B}", "till {B}", "through {B}", "no later than {B}", "ending {B}", "by {B}"]
# the same over another date, such as updated or published
WHEN_OF = ["{F} between {A} and {B}", "{F} from {A} to {B}", "with {F} between {A} and {B}", "whose {F} lies between {A} and {B}"]
SINCE_OF = ["{F} since {A}", "{F} after {A}", "with {F} after {A}", "{F} from {A} on", "{F} later than {A}", "whose {F} is after {A}"]
UNTIL_OF = ["{F} before {B}", "{F} until {B}", "with {F} before {B}", "{F} up to {B}", "{F} by {B}", "whose {F} is before {B}"]
SINCE_DONE = ["{F} since {A}", "{F} after {A}", "that were {F} after {A}", "{F} later than {A}", "last {F} after {A}",
              "{F} from {A} on"]
UNTIL_DONE = ["{F} before {B}", "{F} until {B}", "that were {F} before {B}", "{F} by {B}", "last {F} before {B}"]
WHEN_DONE = ["{F} between {A} and {B}", "that were {F} between {A} and {B}", "{F} from {A} to {B}"]
ON = ["on {V}", "for {V}", "dated {V}", "of {V}", "as of {V}"]
ON_OF = ["with {F} {V}", "whose {F} is {V}", "{F} {V}", "with {F} on {V}", "{F} on {V}"]

# places
AROUND = ["within {R} of {A}, {O}", "within {R} of latitude {A} and longitude {O}", "in a radius of {R} around {A}, {O}",
          "at most {R} from {A}, {O}", "no more than {R} away from {A}, {O}", "around {A}, {O} within {R}",
          "less than {R} from latitude {A}, longitude {O}", "within a {R} radius of {A}, {O}", "within {R} of ({A}, {O})",
          "inside {R} around lat {A} lon {O}", "near {A}, {O} (within {R})", "within {R} of the point {A}, {O}"]
NEAR = ["near {A}, {O}", "around {A}, {O}", "at {A}, {O}", "at latitude {A} and longitude {O}", "near latitude {A}, longitude {O}",
        "for lat {A} lon {O}", "close to {A}, {O}", "near the point {A}, {O}", "at the coordinates {A}, {O}"]
WITHIN = ["within {R}", "in a radius of {R}", "radius {R}"]
BOX = ["in the box from {A} to {B} latitude and {O} to {P} longitude", "between latitudes {A} and {B} and longitudes {O} and {P}",
       "in the rectangle latitude {A} to {B}, longitude {O} to {P}", "with latitude from {A} to {B} and longitude from {O} to {P}",
       "in the area between latitude {A} and {B} and between longitude {O} and {P}"]

# one value
IS = ["with {F} {V}", "with the {F} {V}", "whose {F} is {V}", "where {F} is {V}", "having {F} {V}", "{F} {V}", "{F}: {V}", "{F} = {V}",
      "with {V} as {F}", "for {F} {V}", "of {F} {V}", "with {F} equal to {V}", "with a {F} of {V}", "by {F} {V}", "where the {F} is {V}"]
KIND = ["of type {V}", "of the type {V}", "of the {V} type", "of kind {V}"]
LEVEL = ["with {V} {F}", "with a {V} {F}", "at {F} {V}", "with {F} {V}"]
MENTION = ["matching {V}", "about {V}", "mentioning {V}", "for {V}", "containing {V}", "related to {V}", "that match {V}", "with {V}",
           "that mention {V}", "matching the words {V}", "on {V}", "with the text {V}"]
BY_NAME = [
    ({"city", "country", "region", "place", "location", "state", "continent", "town", "county", "area"},
     ["in {V}", "from {V}", "located in {V}", "in {V}", "with {F} {V}", "{F} {V}"]),
    ({"author", "artist", "creator", "director", "owner", "user", "publisher", "composer", "writer", "brand", "maker"},
     ["by {V}", "by {V}", "from {V}", "with {F} {V}", "of {F} {V}", "{F} {V}", "by the {F} {V}"]),
    ({"language", "lang", "locale"}, ["in {V}", "in the language {V}", "with {F} {V}", "{F} {V}", "{V} ones only"]),
    ({"name", "title"}, ["called {V}", "named {V}", "with the {F} {V}", "whose {F} is {V}", "{F} {V}", "with {V} in the {F}"]),
    ({"tag", "tags", "label", "labels", "keyword", "topic", "topics", "subject", "category", "genre"},
     ["tagged {V}", "with {F} {V}", "in {F} {V}", "with the {F} {V}", "labelled {V}", "{F} {V}", "under {F} {V}"]),
]
ID = ["with id {V}", "with the id {V}", "whose id is {V}", "id {V}", "identified by {V}", "with {F} {V}", "{F} {V}"]

ID_OF = ["for {F} {V}", "of {F} {V}", "of the {F} {V}", "with {F} {V}", "whose {F} is {V}", "with {F} id {V}", "for the {F} with id {V}"]

# booleans
INCLUDE = ["including {F}", "include {F}", "with {F}", "also {F}", "and {F} too", "{F} included"]
INCLUDE_ONES = ["including {F} ones", "include {F} ones", "also {F} ones", "with {F} ones", "{F} ones included", "{F} ones too"]
EXCLUDE = ["without {F}", "excluding {F}", "exclude {F}", "leave out {F}", "no {F}"]
EXCLUDE_ONES = ["without {F} ones", "excluding {F} ones", "leave out {F} ones", "no {F} ones"]
HAS = ["that have {F}", "with {F}", "having {F}", "which have {F}", "that come with {F}"]
HAS_NOT = ["without {F}", "that have no {F}", "lacking {F}", "with no {F}"]
ANY = ["of any {F}", "with any {F}", "whatever the {F}"]
ONLY_ONES = ["only {F} ones", "{F} ones only", "just the {F} ones", "nothing but {F} ones"]
ONLY = ["only {F} ones", "that are {F}", "{F} only", "only those that are {F}", "which are {F}"]
NOT = ["that are not {F}", "not {F}", "only those that are not {F}", "which are not {F}"]
FLAG = ["with {F} on", "with {F}", "{F}: yes", "with {F} set to true", "{F} true"]
FLAG_OFF = ["with {F} off", "without {F}", "{F}: no", "with {F} set to false", "{F} false"]

# the answer's shape
SORT = ["sorted by {F}", "sort by {F}", "ordered by {F}", "order by {F}", "in order of {F}", "sort them by {F}", "ranked by {F}",
        "arranged by {F}", "sorted on {F}", "order: {F}"]
SORT_UP = ["sorted by {F} ascending", "by ascending {F}", "sort by {F}, lowest first", "in ascending order of {F}",
           "sorted by increasing {F}", "ordered by {F}, ascending", "order by {F} asc"]
SORT_DOWN = ["sorted by {F} descending", "by descending {F}", "sort by {F}, highest first", "in descending order of {F}",
             "sorted by decreasing {F}", "ordered by {F}, descending", "order by {F} desc"]
UP = ["in ascending order", "ascending", "lowest first", "sorted ascending", "smallest first"]
DOWN = ["in descending order", "descending", "highest first", "sorted descending", "largest first"]
FORMAT = ["as {V}", "in {V} format", "in {V}", "{V} output", "give the answer as {V}", "formatted as {V}", "output as {V}", "as a {V} file"]
FROM_ONE = ["offset {n}", "starting at number {n}", "from number {n} on", "starting with result {n}", "from result {n}", "start at {n}",
            "beginning with number {n}", "start from result {n}", "from position {n}"]
PAGE = ["page {n}", "show page {n}", "the page number {n}", "on page {n}", "give me page {n}"]
PAGE_SIZE = ["page {n} with {m} per page", "page {n}, {m} per page", "page {n} of {m} results each", "page {n}, {m} results per page"]

# endpoints without conditions, and endpoints that count
LISTED = ["list the {N}", "which {N} are there?", "show all {N}", "give me the {N}", "what are the {N}?", "list all {N}", "show me the {N}",
          "get the {N}", "what {N} exist?", "all {N}", "what {N} do you have?", "i need the list of {N}", "{N}"]
SINGLE = ["show the {N}", "what is the {N}?", "give me the {N}", "get the {N}", "tell me the {N}", "which {N} is it?", "the {N}",
          "what's the {N} of the service?", "show me the {N}", "i need the {N}"]
COUNT = ["how many {N} are there?", "how many {N}?", "what is the number of {N}?", "count the {N}", "count {N}", "number of {N}",
         "how many {N} do you have?", "give me the number of {N}", "tell me how many {N} there are", "how many {N} were there?",
         "the count of {N}", "i need the number of {N}"]
RECORD = ["show {N} {V}", "get {N} {V}", "{N} {V}", "give me {N} {V}", "details of {N} {V}", "show me the {N} {V}", "look up {N} {V}",
          "what is {N} {V}?", "find the {N} with id {V}", "i need {N} {V}", "open {N} {V}", "tell me about {N} {V}", "fetch {N} {V}",
          "information on {N} {V}", "the {N} with the id {V}", "retrieve {N} {V}"]
