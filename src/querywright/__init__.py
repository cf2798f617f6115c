"""Querywright: from an API's request logs and schema to a local assistant that writes valid calls."""

import logging as _logging

__version__ = "0.1.0"

# peft and torchtune import torchao, which says each time that it goes without extensions that nothing here uses
_logging.getLogger("torchao").setLevel(_logging.ERROR)
