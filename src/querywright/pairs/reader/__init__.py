"""The reader without a model: an English sentence back to the calls that it may ask for.

It knows an API's definition and its lexicon and nothing of the template teacher's phrases: what both find is true.
"""

from querywright.pairs.reader.reading import Reading as Reading
from querywright.pairs.reader.reading import confident as confident
from querywright.pairs.reader.reading import judged as judged
from querywright.pairs.reader.reading import read as read
from querywright.pairs.reader.reading import reading as reading
