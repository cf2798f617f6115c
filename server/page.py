"""The page: a sentence in; the call, its meaning, its hits and a field to correct it out. Gradio's Blocks."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from querywright.errors import need
from server import handlers
from server.assistant import Assistant, examples
from server.store import Store

CSS = Path(__file__).with_name("page.css")


def theme() -> Any:
    """System fonts only: a font from elsewhere would tell its host who asks."""
    import gradio as gr

    return gr.themes.Soft(
        primary_hue="teal", neutral_hue="slate", radius_size="md",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    ).set(
        block_title_background_fill="transparent", block_title_background_fill_dark="transparent",
        block_title_padding="0", block_padding="6px 0px", block_background_fill="transparent",
        block_background_fill_dark="transparent", block_shadow="none", block_border_width="0px",
        body_background_fill="white", body_background_fill_dark="*neutral_950",
        block_title_text_color="*body_text_color", block_title_text_color_dark="*body_text_color",
        block_label_text_color="*body_text_color_subdued",
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
        body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400",
        input_border_width="1px", input_border_color="*neutral_300", input_border_color_dark="*neutral_700",
    )  # fmt: skip


def build(assistant: Assistant, store: Store) -> Any:
    """The Blocks for one assistant. Named endpoints: /ask, /check, /run, /correct, /rate."""
    need("gradio", extra="serve")
    import gradio as gr

    api, limits = assistant.api, assistant.limits

    with gr.Blocks(title=f"Querywright · {api.title}", analytics_enabled=False) as page:
        answer = gr.State(None)
        gr.HTML(_head(assistant), elem_id="qw-head", padding=False)
        box = gr.Textbox(
            label="Ask in a sentence", placeholder=f"Which {api.noun}s are you looking for?", submit_btn="Ask",
            lines=1, max_lines=4, max_length=limits.instruction_chars, autofocus=True, elem_id="qw-ask",
        )  # fmt: skip
        with gr.Column(visible=False) as written:
            call = gr.Textbox(label="Call", interactive=False, max_lines=8, buttons=["copy"], elem_id="qw-call")
        facts = gr.HTML(label="facts", elem_id="qw-facts", padding=False)
        with gr.Column(visible=False) as after:
            with gr.Row(elem_id="qw-rate"):
                up = gr.Button("Right", size="sm", elem_id="qw-up")
                down = gr.Button("Wrong", size="sm", elem_id="qw-down")
            with gr.Accordion("Correct the call", open=False, elem_id="qw-fixing") as correcting:
                fix = gr.Textbox(
                    label="The call as it should be", info="Enter runs it. Only what you store is kept.",
                    lines=1, max_lines=8, max_length=limits.call_chars, elem_id="qw-fix",
                )  # fmt: skip
                verdict = gr.HTML(label="verdict", elem_id="qw-live", padding=False)
                with gr.Row():
                    run = gr.Button("Run it", variant="secondary")
                    save = gr.Button("Store correction", variant="primary")
            note = gr.HTML(label="note", elem_id="qw-note", padding=False)
        sentences = examples(api)
        chips = gr.Examples(sentences, inputs=[box], label="Examples") if sentences else None

        def do_ask(sentence: str) -> tuple[Any, ...]:
            shown = handlers.on_ask(assistant, store, sentence)
            answered = shown.answer is not None
            return (
                shown.answer, gr.Column(visible=answered), shown.call, shown.facts, gr.Column(visible=answered),
                gr.Accordion(open=answered and not shown.ok), shown.call,
                handlers.on_edit(assistant, shown.call) if answered else "", "",
            )  # fmt: skip

        def do_check(path: str) -> str:
            return handlers.on_edit(assistant, path)

        def do_run(path: str) -> str:
            return handlers.on_run(assistant, path)

        def do_correct(answered: int | None, path: str) -> str:
            return handlers.on_correct(assistant, store, answered, path)

        def do_rate(answered: int | None, right: bool) -> str:
            return handlers.on_rate(store, answered, 1 if right else -1)

        out = [answer, written, call, facts, after, correcting, fix, verdict, note]
        # A gate of our own stands before the engine; Gradio's queue only keeps the page from taking all its places.
        asking: dict[str, Any] = {"concurrency_limit": limits.waiting, "show_progress_on": [facts]}
        box.submit(do_ask, [box], out, api_name="ask", **asking)
        if chips is not None:
            chips.load_input_event.then(do_ask, [box], out, api_visibility="private", **asking)
        live: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
        fix.change(do_check, [fix], [verdict], api_name="check", **live)
        gr.on([run.click, fix.submit], do_run, [fix], [note], api_name="run")
        save.click(do_correct, [answer, fix], [note], api_name="correct")
        right, wrong = gr.Checkbox(True, visible=False), gr.Checkbox(False, visible=False)
        up.click(do_rate, [answer, right], [note], api_name="rate")
        down.click(do_rate, [answer, wrong], [note], api_visibility="private").then(
            lambda: gr.Accordion(open=True), None, [correcting], api_visibility="private"
        )
    page.queue(max_size=4 * limits.waiting)
    return page


def _head(assistant: Assistant) -> str:
    api = assistant.api
    about = escape(". ".join(part for part in (api.about.capitalize(), assistant.records) if part))
    return f"<h1>Ask {escape(api.title)}</h1><p>{about}<br>Model: {escape(assistant.model)}</p>"
