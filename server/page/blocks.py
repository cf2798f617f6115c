"""The page: a sentence in; the call, its meaning, its hits and a field to correct it out. Gradio's Blocks.

What is there is in `server.page.layout`; this binds it to the handlers.
"""

# No `from __future__ import annotations` here: Gradio reads from a function's hints that it wants the request, and
# could not resolve them as texts, since it is imported where it is used.

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from querywright.errors import need
from server.assistant import InputError, examples
from server.keep.store import Store
from server.metrics import Metrics
from server.page import show_parts
from server.page.handlers import Talk, View, asker_of, told
from server.page.handlers_ask import on_ask
from server.page.handlers_fix import on_correct, on_edit, on_run
from server.page.handlers_readings import on_reading, on_readings
from server.page.handlers_sides import VOTES, on_compare, on_vote
from server.page.handlers_talk import on_history, on_new, on_open, on_rate, on_refine
from server.page.layout import lay_out, put, wording
from server.page.streaming import Asking
from server.service import Service

CSS = Path(__file__).with_name("page.css")
JS = Path(__file__).with_name("page.js")
FOCUS = "() => setTimeout(() => document.querySelector('#qw-ask textarea')?.focus(), 50)"
CURSOR = """(path, _, talk) => {
  const field = document.querySelector('#qw-fix textarea, #qw-fix input');
  const here = field && document.activeElement === field;
  return [path, here ? [...field.value.slice(0, field.selectionStart)].length : null, talk];
}"""


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


def build(service: Service, store: Store, metrics: Metrics | None = None) -> Any:
    """The Blocks over a service. Programs ask over REST: none of the page's events has a name."""
    need("gradio", extra="serve")
    import gradio as gr

    asking = Asking(service, store, metrics)
    with gr.Blocks(title="Querywright", analytics_enabled=False) as page:
        parts = lay_out(service)
    talk, box, out = parts.talk, parts.box, parts.out
    chosen = [parts.api, parts.model, parts.strategy, parts.decoding]
    other = [parts.compare, parts.model2, parts.strategy2, parts.decoding2, parts.blind]

    def placed(talk: Talk, api: Any, model: Any, strategy: Any, decoding: Any) -> Talk:
        """The talk with what is chosen now; a talk of another API is over."""
        choice = service.choice(api, model, strategy, decoding)
        return replace(talk, choice=choice) if api == talk.choice.api else Talk(choice, asked=talk.asked)

    def ask(
        sentence: str, talk: Talk, api: str, model: str, strategy: str, decoding: str, compare: bool,
        model2: str, strategy2: str, decoding2: str, blind: bool, request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        try:
            now = placed(talk, api, model, strategy, decoding)
            second = service.choice(api, model2, strategy2, decoding2) if compare else None
        except InputError as error:  # not of this page
            yield put(View(say=escape(told(error))))
            return
        asker = asker_of(store, request)
        views = on_ask(asking, asker, now, sentence)
        if second is not None:
            views = on_compare(asking, asker, now, sentence, second, blind=blind)
        for view in views:
            yield put(view)

    def picked(event: gr.EventData) -> Any:
        return event._data.get("value") if isinstance(event._data, dict) else None

    def example(api: str, event: gr.EventData) -> str:
        index, sentences = picked(event), examples(service.apis[api].api) if api in service.apis else []
        return sentences[index] if isinstance(index, int) and 0 <= index < len(sentences) else ""

    def change_api(api: str, talk: Talk, request: gr.Request) -> tuple[Any, ...]:
        now = Talk(service.choice(api), asked=talk.asked)
        fresh = replace(on_new(now), history=on_open(service, store, asker_of(store, request), now).history)
        served = service.apis[api]
        return (
            *put(fresh), parts.head_of(service, api), show_parts.chips(examples(served.api)),
            gr.Textbox(**wording(served.api)), served.model,
        )  # fmt: skip

    def start(talk: Talk, request: gr.Request) -> tuple[Any, ...]:
        return put(on_open(service, store, asker_of(store, request), talk))

    def simple(handler: Any) -> Any:
        """A handler of (asker, talk) as an event's function."""

        def run(talk: Talk, request: gr.Request) -> tuple[Any, ...]:
            return put(handler(asker_of(store, request), talk))

        return run

    def readings(talk: Talk, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        for view in on_readings(asking, asker_of(store, request), talk):
            yield put(view)

    def reading(talk: Talk, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return put(on_reading(asking, asker_of(store, request), talk, picked(event)))

    def earlier(talk: Talk, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return put(on_history(service, store, asker_of(store, request), talk, picked(event)))

    def edit(path: str, cursor: Any, talk: Talk) -> tuple[str, str]:
        return on_edit(service, talk.choice.api, path, cursor)

    def run(path: str, talk: Talk) -> str:
        return on_run(service, talk.choice.api, path)

    def correct(path: str, talk: Talk, request: gr.Request) -> tuple[Any, ...]:
        return put(on_correct(service, store, asker_of(store, request), talk, path))

    def stop(request: gr.Request) -> None:
        asking.running.stop(asker_of(store, request).tab)

    # A gate of our own stands before the engines, and tells who has to wait: Gradio's queue only bounds the threads.
    places = sum(model.gate.capacity + service.limits.waiting for model in service.models.values()) + 4
    shared: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    asks: dict[str, Any] = {**shared, "concurrency_limit": min(places, 30), "concurrency_id": "asks"}
    quick: dict[str, Any] = {**shared, "concurrency_limit": 8, "concurrency_id": "quick"}
    with page:
        page.load(start, [talk], out, **quick)
        page.load(None, js=JS.read_text(encoding="utf-8"))
        page.unload(stop)
        asked = [box, talk, *chosen, *other]
        box.submit(ask, asked, out, **asks)
        parts.chips.pick(example, [parts.api], [box], **quick).then(ask, asked, out, **asks)
        box.stop(stop, None, None, queue=False, **shared)
        parts.api.input(
            change_api, [parts.api, talk], [*out, parts.head, parts.chips, box, parts.model], **quick
        )  # fmt: skip
        parts.compare.change(lambda on: gr.Column(visible=on), [parts.compare], [parts.second], **quick)
        parts.again.click(readings, [talk], out, **asks)
        parts.readings.pick(reading, [talk], out, **quick)
        parts.history.pick(earlier, [talk], out, **quick)
        parts.refine.click(simple(lambda _, now: on_refine(now)), [talk], out, **quick).then(None, js=FOCUS)
        for begin in (parts.new.click, parts.thread.pick):
            begin(simple(lambda _, now: on_new(now)), [talk], out, **quick).then(None, js=FOCUS)
        for button, rating in ((parts.up, 1), (parts.down, -1)):
            button.click(
                simple(lambda asker, now, rating=rating: on_rate(store, asker, now, rating)),
                [talk], out, **quick,
            )  # fmt: skip
        for button, vote in zip(parts.votes, VOTES, strict=True):
            button.click(
                simple(lambda asker, now, vote=vote: on_vote(asking, asker, now, vote)), [talk], out, **quick
            )
        parts.fix.change(
            edit, [parts.fix, parts.cursor, talk], [parts.live, parts.suggest], js=CURSOR,
            trigger_mode="always_last", **quick,
        )  # fmt: skip
        gr.on([parts.run.click, parts.fix.submit], run, [parts.fix, talk], [parts.note], **quick)
        parts.save.click(correct, [parts.fix, talk], out, **quick)
    page.queue(max_size=64, api_open=False)  # nobody runs past the queue what queues
    return page
