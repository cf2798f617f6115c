"""Judgements of prepared prompts: as batches at a server with OpenAI's Batch API, or by a local judge; the same files.

    DIR/requests/*.jsonl   what a judge is asked, in the API's input form; `again-…` are rows that are asked once more
    DIR/results/*.jsonl    what came back, in its output form: one line for each request of the file of the same name
    DIR/batches.csv        a line a file: rows, tokens, batch, state; remade from folder and server if it is lost
    DIR/failed.csv         rows without an answer, and why

Every step can be killed and run again: it goes on, and nothing is sent or paid twice.
"""
