"""English for searches: what people say around fields, values and counts. Articles are no tokens and stand nowhere.

A pattern's action says what its slots become (see `pieces.py`); its cost says how sure it is.
"""

from __future__ import annotations

from querywright.pairs.reader.patterns import Pattern

# What patterns share; phrases read better in rows than in columns.
# ruff: noqa: E501
# fmt: off
NAMED = {
    "HAVE": "with|having|has|have|that have|that has|which have|which has|carrying|that carry|using|by|under|behind",
    "REL": "<HAVE>|whose|where|for which|for|of|from|in|on|matching|that match|that matches|which match|containing|"
           "that contain|identified by|annotated with|annotated to|linked to|associated with|corresponding to|"
           "that belong to|that belongs to|belonging to|that map to|that maps to|mapping to|related to|bearing|through|via|with their|"
           "<DOES> <VERBS>|who have|with known|that are",
    "DOES": "that|which|and|also|that are|that is|which are|which is|are|is|do|does|that do|and are|and is|actually|and also|",
    "VERBS": "have|has|match|matches|carry|carries|correspond to|corresponds to|belong to|belongs to|map to|maps to|"
             "go with|goes with|listed under|annotated with|annotated to|linked to|associated with|identified by|found under|come with|comes with|contain|contains",
    "IS": "is|are|of|\\=|:|equal to|equals|equal|is equal to|is equal|being|as|matches|matching|is like|like|looks like|"
          "that matches|that match|fits|pattern|matches pattern|is called|called|number",
    "HAS": "contains|contain|containing|mentions|mention|mentioning|includes|include|has|about|talks about|that mentions|"
           "that contains|is about|with|that talks about|saying|says|having|includes word|contains word|contains phrase|"
           "containing phrase|mentions word|contains words|mentions phrase|includes phrase|has word|has phrase",
    "START": "starts with|start with|starting with|that starts with|that start with|begins with|begin with|beginning with|"
             "that begins with|that begin with|prefix|has prefix|with prefix|prefixed with|prefixed by",
    "MORE": "greater than|above|over|larger than|more than|higher than|\\>|exceeds|exceeding|is greater than|is above|is over|"
            "is larger than|is more than|is higher than|bigger than|is bigger than|beyond|is beyond",
    "LEAST": "at least|of at least|is at least|\\>\\=|>=|is no less than|no less than|not less than|is not less than|"
             "minimum|of minimum|not below|is not below",
    "LESS": "less than|below|smaller than|under|lower than|\\<|is less than|is below|is smaller than|is under|is lower than|fewer than",
    "MOST": "at most|of at most|is at most|\\<\\=|<=|up to|does not exceed|doesn't exceed|not exceeding|is no more than|"
            "no more than|not more than|is up to|is not above|not above|maximum",
    "FREE": "[<DOES>] (match|matches|related to|have to do with|has to do with|associated with|mention|mentions|connected with|"
            "about|contain|contains|involved in|linked to)|matching|that match|that matches|which match|related to|for|about|mentioning|containing|that mention|"
            "that mentions|that contain|that contains|involving|having to do with|that have to do with|associated with|"
            "connected to|concerning|regarding|on|with|that involve|linked to|like|that look like",
    "TERM": "term|keyword|word|words|pattern|wildcard|wildcard pattern|name|text|string|keywords|terms|query",
    "PHRASE": "phrase|exact phrase|exact words|exact string",
    "NOT": "but not|excluding|except|except for|and not|without|but exclude|but without|not|leaving out|leave out|exclude|other than|"
           "that are not|which are not|but leave out|and exclude|and without|omit|omitting|minus|unless|but no|that do not|"
           "but not in|with exception of|drop|skip|ignore|remove|throw out|i don't want|don't want|but none|not those|neither|but neither|nor|and not|"
           "please remove|no|w/o|but ignore|do not include|do not show|don't show|don't include",
    "THOSE": "those|ones|any|all|anything|these|things",
    "GET": "return|show|give|list|output|report|get|display|include|need|want|find|tell|fetch|retrieve|look up|print|extract|"
           "provide|add|select|see|keep|like|pull up|write|restrict output to|restrict answer to|show me|give me|"
           "tell me|get me|find me|fetch me|i need|i want|i only need|i just need|i only want|we need|we want|i'd like|"
           "i would like|i'm looking for|looking for|would like|limit output to|limit it to fields|limited to fields|"
           "limit fields to|return fields|show fields|list fields|bring up|search for|look for|i am looking for|"
           "include fields|i want to see|i would like to see|let me see|and",
    "ONLY": "only|just|solely|no more than|nothing but",
    "ASM": "\\( {G} [coordinates|assembly|positions|build] \\)|(in|on|using|of|with|for|from|per) [genome|assembly|build] {G} [coordinates|assembly|positions|"
           "build|genome]|, {G} [coordinates|assembly|positions]|{G}",
    "HITS": "hits|results|records|hit|result|record|entries|entry|ones|matches|match|of them|items|rows",
    "BY": "by|on|for|per|over|in|according to|with respect to|across|for each|into",
    "FACETED": "facet|facets|faceted|facet counts|broken down|break down|break them down|breakdown|counts|count|count them|counted|"
               "grouped|group|group them|aggregate|aggregate them|aggregated|split|distribution|number|how many|how they split|"
               "split them|distributed|categorised|categorized|frequency|frequencies|numbers|tally|how many there are|bucketed",
    "SORTED": "sort|sorted|sort them|order|ordered|order them|ranked|rank|rank them|arranged|arrange them|sort results|order results|sort it",
    "SEP": "and|,",
}

CONDITIONS = [
    Pattern("{F} [<IS>] {VL}", "term", 0.42),
    Pattern("{F} <IS> {VL}", "term", 0.2),
    Pattern("<REL> {F} [<IS>|in] {VL}", "term", 0.1),
    Pattern("<REL> {F} [<IS>] either {VL}", "term", 0.0),
    Pattern("[<REL>] {F} <HAS> {VL} [in it]", "term", 0.12),
    Pattern("[<REL>] {F} [<IS>|<HAS>] <TERM> {VL} [in it]", "term", 0.15),
    Pattern("[<REL>] {F} [<IS>|<HAS>] <PHRASE> {VL} [in it]", "term", 0.12),
    Pattern("[<REL>] [word|words|term|phrase|wildcard|pattern|<TERM>|value] {VL} (in|as|for|on) {F}", "value_in", 0.2),
    Pattern("<REL> [word|words|term|phrase|exact phrase|wildcard|pattern|value] {VL} (in|as|for|on) {F}", "value_in", 0.12),
    Pattern("(that mention|mentioning|that contain|containing|having|that have) [word|words|phrase|term] {VL} in {F}", "value_in", 0.1),
    Pattern("(described|mentioned) in {F} as {VL}", "term", 0.1),
    # patterns
    Pattern("[<REL>] {F} [that|is|which] <START> {VL}", "prefix", 0.05),
    Pattern("[<REL>] {F} {VL} followed by anything", "prefix", 0.0),
    Pattern("[<REL>] {F} [<IS>] {V} (plus one more character|followed by single character|followed by one character|and exactly one more"
            " character|plus any one character|and one more character|plus one character)", "one_more", 0.0),
    Pattern("[<REL>] {F} [that] <START> {V} and (ends|ending|end) (with|in) {V}", "gap", 0.0),
    Pattern("[<REL>] {F} from {V} to {V} with anything between", "gap", 0.0),
    Pattern("<START> {V}", "free_prefix", 0.15),
    Pattern("(with|having) prefix {V}", "free_prefix", 0.1),
    Pattern("[<FREE>|starting with|that start with|<START>] {V} (plus any one character|followed by single character|and one more character|"
            "with one character after it|and one character more|with single-character wildcard at end|plus one more character|"
            "followed by one character)", "free_one_more", 0.0),
    # ranges
    Pattern("[<REL>] {F} [<IS>|lies|ranges|range|ranging|falls|that is|located|lying|that lies] (between|from|in range|in range of|in range from|within) {N} (and|to|-|–|until|through) {N}",
            "between", 0.0),
    Pattern("[<REL>] {F} [<IS>] {N} (to|-|–|through) {N}", "between", 0.05),
    Pattern("[<REL>] {F} [<IS>] [in|between|from|in range] {AB}", "between_dash", 0.05),
    Pattern("[<REL>] {F} [that is|of|which is|is] (<MORE>|strictly between|strictly above) {N} (and|but) [<LESS>|strictly below] {N}", "open_open", 0.0),
    Pattern("[<REL>] {F} [is|of] between {N} and {N} , both excluded", "open_open", -0.2),
    Pattern("[<REL>] {F} [is|of] between {N} and {N} , {N} itself excluded", "closed_open", -0.2),
    Pattern("[<REL>] {F} [that is|of|which is|is] <LEAST> {N} (and|but) <LESS> {N}", "closed_open", 0.0),
    Pattern("[<REL>] {F} [is|of] {N} or more (and|but) <LESS> {N}", "closed_open", 0.0),
    Pattern("[<REL>] {F} [is|of] from {N} to below {N}", "closed_open", 0.0),
    Pattern("[<REL>] {F} [that is|of|which is|is] <MORE> {N} (and|but) <MOST> {N}", "open_closed", 0.0),
    Pattern("{N} <= {F} <= {N}", "around", 0.0),
    Pattern("[<REL>] {F} (no smaller than|not smaller than) {N}", "least", 0.0),
    Pattern("[<REL>] {F} (no larger than|not larger than|no bigger than) {N}", "most", 0.0),
    Pattern("[<REL>] {F} min {N}", "least", 0.0),
    Pattern("[<REL>] {F} max {N}", "most", 0.0),
    Pattern("[<REL>] {F} of more than {N}", "more", 0.0),
    Pattern("[<REL>] {F} of less than {N}", "less", 0.0),
    Pattern("[<REL>] at least {N} as {F}", "least_of", 0.0),
    Pattern("[<REL>] {F} [that is|of|which is] <MORE> {N}", "more", 0.0),
    Pattern("[<REL>] <MORE> {N} {F}", "more_of", 0.1),
    Pattern("[<REL>] {F} [that is|of|which is] <LEAST> {N}", "least", 0.0),
    Pattern("[<REL>] {F} [<IS>|from] {N} (or more|or higher|or greater|upwards|or above|and up|and above|or larger|and higher|or over)", "least", 0.0),
    Pattern("[<REL>] <LEAST> {N} {F}", "least_of", 0.1),
    Pattern("[<REL>] {F} [that is|of|which is] <LESS> {N}", "less", 0.0),
    Pattern("[<REL>] {F} [that is|of|which is] <MOST> {N}", "most", 0.0),
    Pattern("[<REL>] {F} [<IS>] {N} (or less|or lower|or fewer|or below|and below|and lower|or smaller|or under)", "most", 0.0),
    # there or not
    Pattern("(with|having|that have|which have|that has|that come with|that contain|that do have|containing|have|has|that carry|for which there is)"
            " [some|any|known|existing|at least one|value for|value in|recorded] {F} [available]", "exists", 0.3),
    Pattern("[that|which|and|also] (have|has|come with|comes with|do have|does have|actually have|actually has|must have) [some|any|known|existing|at least one|value for] {F} [available|at all|on record]", "exists", 0.2),
    Pattern("{F} (present|exists|available|yes)", "exists", 0.0),
    Pattern("\\+ {F}", "exists", 0.1),
    Pattern("[that|which|and|also] (have|has) no [known] {F} [at all]", "lacks", 0.0),
    Pattern("[that|which|and|also] (do not have|does not have|don't have|doesn't have|lack|lacks|are missing|is missing|are without|is without|never got) [any|known] {F} [at all]", "lacks", 0.0),
    Pattern("{F} missing", "lacks", 0.0),
    Pattern("(no|w/o|minus) {F} [at all]", "lacks", 0.1),
    Pattern("(with|having|that have|which have) (some|any|known|existing|at least one|value for|value in) {F}", "exists", 0.05),
    Pattern("(where|for which|whose) {F} (is present|exists|is available|is known|is given|is there|is set|is recorded)", "exists", 0.0),
    Pattern("(without|lacking|missing|with no|that have no|which have no|that do not have|that don't have|that lack|which lack|having no|"
            "that are missing|that miss|without known|that has no|but without|but no|but with no|but lacking|and without|and with no|that do not contain)"
            " [any|known] {F}", "lacks", 0.1),
    Pattern("(where|for which|whose) {F} (is missing|is absent|is not known|is unknown|does not exist|is empty|is not available|is not present)", "lacks", 0.0),
    Pattern("(where|for which) no {F} (exists|is known|is available|is there)", "lacks", 0.0),
    # booleans
    Pattern("[<REL>] {BF} [<IS>|set to|is set to|is] (true|yes|on)", "true", 0.0),
    Pattern("[<REL>] {BF} [<IS>|set to|is set to|is] (false|no|off)", "false", 0.0),
    Pattern("[<REL>] {BF} is not true", "false", -0.1),
]
FREE = [
    Pattern("<FREE> {VL}", "free", 0.45),
    Pattern("<FREE> <TERM> {VL}", "free", 0.2),
    Pattern("[<FREE>] <PHRASE> {VL}", "free_phrase", 0.15),
    Pattern("<TERM> {VL}", "free", 0.35),
    Pattern("[<FREE>] (either|any of) {VL}", "free", 0.3),
    Pattern("(anything|everything|something|all|info|information|those|entries|what we know|stuff|things|data) (matching|about|on|like|related to|for|that matches|concerning) {VL}", "free", 0.3),
    Pattern("{NOUN} <FREE> {VL}", "noun_free", 0.3),
    Pattern("{NOUN} {VL}", "noun_free", 0.75),
    Pattern("{V} {NOUN}", "free_noun", 0.55),
    Pattern("{V} (related|family|associated|like) {NOUN}", "free_noun", 0.3),
    Pattern("{V:-related} {NOUN}", "free_noun", 0.2),
    Pattern("{VL}", "free", 1.0),
]
INTERVALS = [
    Pattern("<DOES> (lie in|lies in|located in|in|sit in|sits in|overlap|overlaps|fall in|falls in|found within|map to|maps to|inside|fall within|falls within) [region|interval|genomic region] {I} [,] [<ASM>]", "interval", 0.0),
    Pattern("{G} {I}", "interval_after", 0.0),
    Pattern("[in|within|overlapping|that lie in|at|on|between|inside|from|located in|located at|located on|located within|found in|found at|found on|"
            "that overlap|that overlaps|for locus|for|covering|of|spanning|located between] [region|interval|genomic region|genome interval|position|locus|"
            "stretch|window|range|location] {I} [,] [<ASM>]", "interval", 0.0),
    Pattern("[located|found|lying|that lie|that are] (on|in|of|from) {CHR} [,] [between|from|position|positions|at|in|range] [position|positions|base|bases|bp]"
            " {N} (and|to|-|–|until|through) [position|base] {N} [bp|base pairs|bases] [,] [<ASM>]", "chromosome_first", 0.0),
    Pattern("[located|found|lying|that lie] (between|from) [position|positions|base|bases] {N} (and|to|-|–) [position|base] {N} [bp|base pairs|bases]"
            " (of|on|in) {CHR} [,] [<ASM>]", "chromosome_last", 0.0),
    Pattern("[located|found] (on|in|of) {CHR} [,] [at] [position|base|coordinate] {N} [,] [<ASM>]", "position_first", 0.1),
    Pattern("[located|found] at [position|base|coordinate] {N} (of|on|in) {CHR} [,] [<ASM>]", "position_last", 0.0),
]
SCOPES = [
    Pattern("[only|just|but only|and only] (in|from|of|for|within|among|across) [species|organism|organisms|only|just|taxon] {SL} [only|genome|genomes|alone]", "scope", 0.1),
    Pattern("(restrict|restricted|limit|limited|restrict it|limit it|restrict them|narrow it|confine|confined|restrict search|limit search|restrict results) (to|to species|to organism) {SL} [only]", "scope", 0.0),
    Pattern("[in] (species|organism|taxon) [:|is|\\=] {SL} [only]", "scope", 0.05),
    Pattern("[only|just] {SL} only", "scope", 0.1),
    Pattern("(only|just) {SL}", "scope", 0.2),
    Pattern("{SL}", "scope", 0.6),
    Pattern("{SL} {NOUN}", "scope_noun", 0.1),
]
ANSWER = [
    # fields to return
    Pattern("[and|then|please|also] <GET> [<ONLY>] [all|fields|field|values of|value of|field of] {FL} [<ONLY>] [in output|in answer|in result|columns|fields|too|as well]", "fields", 0.2),
    Pattern("<ONLY> {FL}", "fields", 0.4),
    Pattern("(fields|field|columns|column|output|output fields) [:|\\=|are] {FL}", "fields", 0.1),
    Pattern("(limited to|restricted to|limit to|restrict to) [fields] {FL}", "fields", 0.3),
    Pattern("(including|with) [just|only] [fields|field] {FL} (only|in output|in answer|included|fields)", "fields", 0.1),
    Pattern("including {FL}", "fields", 0.2),
    Pattern("with (just|only) {FL}", "fields", 0.15),
    Pattern("[<GET>|what is|what are|what's|which is|which are|what] [<ONLY>] {FL} (of|for|from|in) [<THOSE>]", "fields_of", 0.3),
    Pattern("<GET> [<ONLY>] {FL} (of|for|from|in) [<THOSE>]", "fields_of", 0.12),
    Pattern("(what is|what are|what's) {FL} (of|for|from|in) [<THOSE>]", "fields_of", 0.1),
    Pattern("(which|what) {FL} (does|do)", "fields_of", 0.1),
    Pattern("(which|what) {FL} (is|are) (there|known|available) (of|for|in)", "fields_of", 0.1),
    Pattern("[in|on] to {FL}", "mapped", 0.3),
    Pattern("{FL} [please]", "fields", 1.3),
    Pattern("[and] [return|show|give|give me|show me|include|with|list|output|get|display|print] (all|every|all available|all of|complete|full|whole) (field|fields|annotation|annotations|"
            "record|records|columns|data|information) [please]", "all_fields", 0.1),
    Pattern("(full record|full records|complete annotation|whole record|complete record|complete records|whole records)", "all_fields", 0.2),
    Pattern("[and] (return|show|give me|show me) everything", "all_fields", 0.2),
    Pattern("(->|\\=>|=>) {FL}", "fields", 0.1),
    Pattern("{FL} <-", "fields", 0.1),
    Pattern("[:] \\( {FL} [only] \\)", "fields", 0.3),
    Pattern(": {FL}", "fields", 0.6),
    Pattern("{FL} :", "fields", 0.6),
    Pattern("- {FL}", "fields", 0.7),
    Pattern(", {FL}", "fields", 0.8),
    Pattern("{FL} (only|will do|please|and nothing else)", "fields", 0.3),
    Pattern("[and] (along with|together with|and) [their|its] {FL}", "fields", 0.6),
    Pattern("(along with|together with) [their|its] {FL}", "fields", 0.1),
    Pattern("and (their|its) {FL}", "fields", 0.2),
    Pattern("no other fields than {FL}", "fields", 0.0),
    Pattern("[for each|for each one|for each of them|for every one] [give|show|return|list|tell me] {FL}", "fields", 0.9),
    Pattern("(for each one|for each of them|for every one) [give|show|return|list|tell me] {FL}", "fields", 0.0),
    Pattern("(columns|attributes wanted|what i need|all i need|i need these fields|show these columns|please return following|return following|these fields|fields to return|in answer i want) [is|are|:|\\=] {FL}", "fields", 0.0),
    Pattern("(get back|i only care about|only care about|all i need is|i just need|wanted :) {FL}", "fields", 0.1),
    Pattern("just {FL} , nothing else", "fields", 0.0),
    Pattern("look {FL} up for", "fields_of", 0.0),
    Pattern("(is) {FL} (known|available) (for|of)", "fields_of", 0.1),
    Pattern("(fields|columns) : all", "all_fields", 0.0),
    Pattern("(with all their annotation|and don't leave out any field|don't leave out any field|whole record of each|all columns|with full annotation|complete records|full annotation|full record|every field)", "all_fields", 0.1),
    # how many
    Pattern("[limit|limited|limit it|limit them|limiting|restrict|keep it|keep them|keep|return|show|give me|show me|get|list|just|only|with|display|i want|i need|limit results] [to|just|only]"
            " [at most|no more than|max|max.|maximum|maximum of|up to|not more than|first|top|only|just|best|any] {C} <HITS> [per page|only|each|please|max|maximum]", "size", 0.1),
    Pattern("(limit|limited to|limit to|limit it to|limit them to|max|maximum|maximum of|at most|no more than|not more than|up to|size|size is|size of|keep it to|keep only|"
            "top|first|return at most|show at most|return top|show top|show first|only first|only top|just first|just|only|show|return|restrict to|page size|give me|"
            "get|number of results|number of hits|limit :|size :|limit \\=|size \\=|give me first|give me top|list first|list top) {C} [only]", "size", 0.35),
    Pattern("(just|only|return|show|give me|limit to|limited to|with|) [just|only] (one|single|top|best|first|one single|best matching) (hit|result|record|match|entry|hit only|result only|match only)", "one", 0.1),
    Pattern("(just one|only one|just best match|only best match|just top one|just first one|one only|only top one)", "one", 0.2),
    Pattern("(just one|only one|one single|first|top|best|just first|only first|single) {NOUN}", "one_noun", 0.15),
    Pattern("(top|first|best|up to|at most|only|just|any|no more than|max|maximum|only first|just first|maximum of|) {C} {NOUN}", "size_noun", 0.1),
    Pattern("[at most|up to|top|first|only|any|just|no more than|best] {C} [best|first|top]", "size", 0.9),
    Pattern("[at most|up to|top|first|only|any|just|no more than] {C} {SL} {NOUN}", "size_scope", 0.1),
    Pattern("[just|only] (one|one single|first|top|single|best) {SL} {NOUN}", "one_scope", 0.1),
    Pattern("(no|zero|without|without any|don't return any|do not return any|with no|with zero|don't show any|return no|show no|don't return) (hits|results|records)", "none", 0.0),
    Pattern("(only count|only counts|just count|just counts|only total|just total|counts only|count only|totals only)", "none", 0.1),
    Pattern("(n|size|limit|max) [\\=] {C}", "size", 0.1),
    # from which on
    Pattern("[and] (skip|skipping|leaving out|leave out|after|starting after|start after|omit|ignoring|jump over) [first] {C} [<HITS>]", "from", 0.1),
    Pattern("[starting|start|beginning|begin] [at|from|with] (offset|from|from offset|at offset|from result|at result|from hit|from record) [:|\\=|of] {C}", "from", 0.1),
    Pattern("(start from|starting from|start at|starting at|beginning at|from position|from number) [result|hit|record|number] {C}", "from", 0.1),
    Pattern("[and] [show] next {C} [<HITS>] after [skipping] [first] {C} [<HITS>]", "next", 0.0),
    Pattern("(results|hits|records|result|hit|entries) [from] {C} (to|-|–|through) {C}", "rows", 0.0),
    Pattern("(results|hits|records|result|hit|entries) {AB}", "rows_dash", 0.0),
    Pattern("[on|show] page {C} [,] [with|of|at] {C} [<HITS>] (per page|each)", "page", 0.0),
    Pattern("{C} [<HITS>] starting (from|at|after) {C}", "next", 0.0),
    Pattern("skip [first] {C} [<HITS>] and (show|return|give me|list|get) [next|first] {C} [<HITS>]", "skip_show", 0.0),
    # in which order
    Pattern("[<SEP>] <SORTED> (by|on|according to|after) {FL}", "sort", 0.05),
    Pattern("[<SEP>] [<SORTED>] in order of {FL}", "sort", 0.0),
    Pattern("[<SORTED>] in ascending order of {FL}", "sort", 0.0),
    Pattern("<SORTED> (by|on) [ascending|increasing] {FL} [,] [ascending|in ascending order|from low to high|smallest first|lowest first|asc|increasing]", "sort", -0.02),
    Pattern("[<SORTED>] with (lowest|smallest) {FL} first", "sort", 0.0),
    Pattern("[<SORTED>] in descending order of {FL}", "sort_down", 0.0),
    Pattern("[reverse|reversely] <SORTED> (by|on) {FL} [,] (descending|in descending order|from high to low|largest first|highest first|in reverse order|in reverse|desc|decreasing|reversed|biggest first)", "sort_down", -0.05),
    Pattern("<SORTED> (by|on) (descending|decreasing) {FL}", "sort_down", -0.02),
    Pattern("reverse <SORTED> (by|on) {FL}", "sort_down", 0.0),
    Pattern("[<SORTED>] with (highest|largest|biggest) {FL} first", "sort_down", 0.0),
    Pattern("(sort|order) [by|on|\\=|:] {FL}", "sort", 0.2),
    Pattern("(sort|order|by) [by|on|\\=|:] {FL} (desc|descending)", "sort_down", 0.0),
    Pattern("{FL} desc", "sort_down", 0.1),
    Pattern("reverse {FL} order", "sort_down", 0.0),
    # counted by what
    Pattern("(facet|facets) [\\=|:] {FL}", "facets", 0.1),
    Pattern("{FL} (facet|facets|counts)", "facets", 0.2),    Pattern("[and|with|show|show me|tell me|and tell me|give|give me|by|also|in] [number of|number] <FACETED> <BY> {FL}", "facets", 0.1),
    Pattern("[are there|by] per {FL}", "facets", 0.2),
    Pattern("[are there] (for|in) each {FL}", "facets", 0.2),
    Pattern("by {FL}", "facets", 0.7),
    Pattern("over {FL}", "facets", 0.6),
    Pattern("{FL} (breakdown|counts|distribution|facets|facet) [of|for|over|in]", "facets", 0.1),
    Pattern("(what is|what's|show|give me|) {FL} (breakdown|counts|distribution|facets|facet) (of|for|over|in)", "facets", 0.05),
    Pattern("[with|show|top|up to|return|give me] {C} (facet values|buckets|facet buckets|categories|facet entries|facets|bins|facet terms)", "facet_size", 0.0),
    Pattern("(top|up to|show top) {C} (facet values|buckets|facet buckets|categories|facet entries)", "facet_size", 0.0),
    Pattern("facet size [:|of|\\=] {C}", "facet_size", 0.0),
    Pattern("{C} most frequent ones", "facet_size", 0.0),
    Pattern("[show] (only|just) [show|display] {SL} hits but keep [facet] (counts|facets)", "facet_filter", 0.0),
    Pattern("(filter|restrict|narrow) hits to {SL} without changing facets", "facet_filter", 0.0),
    Pattern("[with] [species|organism] facet filter [on|:|for] {SL}", "facet_filter", 0.0),
    Pattern("only display {SL} hits , facets unchanged", "facet_filter", 0.0),
    # the shape of the answer
    Pattern("[use|with|using] (dotfield|dotfield notation|dotfields) [notation] [on]", "flag:dotfield=true", 0.0),
    Pattern("[flattened|as|flat|in|with|use|using] [with|in|using] (dot notation|dotted names|dotted keys|dotted field names)", "flag:dotfield=true", 0.0),
    Pattern("flat output with dotted names", "flag:dotfield=true", 0.0),
    Pattern("[as] flattened fields", "flag:dotfield=true", 0.0),
    Pattern("no nested objects [,] [use dotted keys]", "flag:dotfield=true", 0.0),
    Pattern("(fetch|return|stream|download|get|scroll through|give me|i want|retrieve) (all|every) [of them|results|hits|hit|result|of it|matches|records] [, not just first page|without paging|with fetch_all|not just first page]", "flag:fetch_all=true", 0.25),
    Pattern("(fetch|stream|download|scroll through) (all|every) (of them|results|hits|hit|result)", "flag:fetch_all=true", -0.1),
    Pattern("(fetch|download) everything", "flag:fetch_all=true", 0.0),
    Pattern("(everything , not just first hits|every single hit|no paging|without paging|complete list|i need complete list|give me entire result set|"
            "full list of results|all hits at once|don't stop at first page|every last one of them|return whole set|all matching records , no limit|"
            "no limit on results|without any limit|don't page , give me everything|i want them all , not page of them|entire list|entire list please|get them all|"
            "download full result set|export all hits|dump all results|all results please|all results|in one go without pages|stream them all|every result there is|"
            "give me all of them|all of them|entire result set|full result set|all hits please|not just first page)", "flag:fetch_all=true", 0.0),
    Pattern("all hits", "flag:fetch_all=true", 0.4),
    Pattern("all results without paging", "flag:fetch_all=true", 0.0),
    Pattern("[with|use|using] fetch_all", "flag:fetch_all=true", 0.0),
]
JOINTS = [
    Pattern("(excluding|without|except|but not) both", "not_both", 0.0),
    Pattern("and", "and", 0.05),
    Pattern("(and also|and additionally|as well as|and which|and that|and are|also|additionally|and have|plus)", "also", 0.02),
    Pattern("or [else]", "or", 0.02),
    Pattern("either", "either", 0.05),
    Pattern("<NOT> [<THOSE>]", "not", 0.12),
    Pattern("(,|;|.|!|?|:|-|–|—)", "mark", 0.05),
    Pattern("(\\(|\\)|/)", "mark", 0.15),
    Pattern(", (or) [else]", "comma_or", 0.02),
]
FILLER = [
    Pattern("{TALK}", "filler", 0.02),
    Pattern("(only those|only ones|keep only those|keep only ones|i only want ones|i only want those|restrict this to ones|restrict this to those|take only those|i mean those|"
            "narrow it down to those|it should be only those|narrow it down to ones)", "also", 0.0),
    Pattern("(which|what) one is", "filler", 0.05),
    Pattern("(which|what) of", "filler", 0.05),
    Pattern("find out (which|what)", "filler", 0.05),
    Pattern("wanted :", "filler", 0.05),
    Pattern("(obtain|request|retrieve|provide|pull|need|want|looking for|interested in|translate|searching for|in need of|trying to find)", "filler", 0.08),
    Pattern("[please|can you|could you|would you|can i|could i|let me|help me|i want to|i would like to|i'd like to|we] <GET> [me|us|out] [please]", "filler", 0.05),
    Pattern("(facet|find|get|show|list|give|retrieve|search|query|display|fetch|return|tell|pull up|bring up|look up|look for|search for|query for|search database for|find all|"
            "get all|list all|show all|looking for|i'm looking for|i am looking for|help|see|have|map|convert|count|filter|locate|open|load|break down|aggregate|group|extract|provide)"
            " [me|us] [all|any|every|every known|both|some]", "filler", 0.05),
    Pattern("(map|convert|translate)", "mapping", 0.0),
    Pattern("(please|thanks|thank you|for me|if possible|hi|hello|hey|ok|okay|for my project|quick question|for talk|now|kindly|then|just|me|us|only)", "filler", 0.1),
    Pattern("(can|could|would|will) (you|i|we) [please]", "filler", 0.05),
    Pattern("(which are|which is|what are|what is|what's|are there|is there|which|what|do you have|do you know|do we know|where can i find|where is|who are|there|"
            "do we have|are|is|does|do|have|know|that are|which one|any|all|every|some|every known|is it|any of|all of|all known|was|were|known|it|they|them|that|"
            "about|you have|you know|database have|there in database|exist|what do we know about|what do you have on|each)", "filler", 0.12),
    Pattern("(how many|number of|what is number of|count of|how much|total number of|count)", "how_many", -0.1),
    Pattern("how do", "filler", 0.0),
    Pattern("how", "filler", 0.4),
    Pattern("split [by]", "filler", 1.0),
    Pattern("(distribution|counts|number) of", "how_many", 0.1),
    Pattern("{NOUN}", "noun", 0.05),
    Pattern("(those|ones|anything|everything|something|matches|info|information|data|entries) [for|about|on|with|in]", "filler", 0.2),
    Pattern("(for|of|in|on|with|from|by|to|that|whose|where|having|at)", "filler", 0.7),
]
ITEMS = [
    Pattern("{NOUN} [with] (id|number|with id) [:|\\=] {ID}", "item", -0.1),
    Pattern("{NOUN} (info|data|details|annotation) (for|of|on) {ID}", "item", 0.0),
    Pattern("{NOUN} [id|annotation|info|information|number|with id|object for|annotation for|data for|information for|with identifier|id :] {ID}", "item", 0.0),
    Pattern("{NOUN} {NOUN} [id|annotation] {ID}", "item", 0.0),
    Pattern("(annotation|annotations|record|full annotation|details|everything|information|info|all) (of|for|about|on)", "filler", 0.1),
    Pattern("(annotation|details|record|object)", "filler", 0.3),
]
# fmt: on


def patterns() -> list[Pattern]:
    """Everything that is said of a search, of any API."""
    return [*CONDITIONS, *FREE, *INTERVALS, *SCOPES, *ANSWER, *JOINTS, *FILLER, *ITEMS]
