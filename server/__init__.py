"""The query assistant: a page, REST and the store of corrections, in one process. `querywright serve` starts it."""
