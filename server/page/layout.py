"""What is on the page, and how a view becomes what Gradio takes. The order here is the order of the keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from querywright.api.definition import API
from server.assistant import examples
from server.page import show_parts
from server.page.handlers import Talk, View
from server.service import DECODINGS, STRATEGIES, Service

PICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick]');
  if (button && element.contains(button)) trigger('pick', {value: Number(button.dataset.pick)});
});"""
_STRATEGIES = {
    "tuned": "Tuned: the prompt that the model was trained with",
    "zero_shot": "Plain: instructions only",
    "rag": "With the fields of the API that are nearest to the sentence",
}
_DECODINGS = {
    "grammar": "On: only valid calls can be written",
    "grounded": "On, and values only from the sentence",
    "free": "Off: whatever the model writes",
}
VOTES = ("Left is better", "Right is better", "Both are right", "Neither")


@dataclass(frozen=True)
class Parts:
    """The components by name."""

    talk: Any
    head: Any
    api: Any
    thread: Any
    box: Any
    chips: Any
    say: Any
    sides: Any
    sided: Any
    voting: Any
    votes: Sequence[Any]
    result: Any
    call: Any
    facts: Any
    acting: Any
    up: Any
    down: Any
    again: Any
    refine: Any
    new: Any
    readings: Any
    fixing: Any
    fix: Any
    cursor: Any
    suggest: Any
    live: Any
    run: Any
    save: Any
    note: Any
    history: Any
    own: Any
    model: Any
    strategy: Any
    decoding: Any
    compare: Any
    second: Any
    model2: Any
    strategy2: Any
    decoding2: Any
    blind: Any

    @property
    def out(self) -> list[Any]:
        """What a view changes, in the order of `put`."""
        return [
            self.talk, self.say, self.box, self.thread, self.result, self.call, self.facts, self.acting, self.readings,
            self.sided, self.sides, self.voting, self.fixing, self.fix, self.live, self.suggest, self.note,
            self.history, self.own,
        ]  # fmt: skip

    @staticmethod
    def head_of(service: Service, api: str) -> str:
        """The heading of the page for an API."""
        served = service.apis[api]
        about = ". ".join(part for part in (served.api.about.capitalize(), served.records) if part)
        return f"<h1>Ask {escape(served.api.title)}</h1><p>{escape(about)}</p>"


def put(view: View) -> tuple[Any, ...]:
    """A view as values of `Parts.out`."""
    import gradio as gr

    def text(value: str | None) -> Any:
        return gr.skip() if value is None else value

    def there(value: bool | None) -> Any:
        return gr.skip() if value is None else gr.Column(visible=value)

    box: dict[str, Any] = {} if view.box is None else {"value": view.box}
    if view.running is not None:
        box |= {"submit_btn": False, "stop_btn": "Stop"} if view.running else {"submit_btn": "Ask", "stop_btn": False}
    if view.talk is not None and (view.running is False or view.box is not None):
        box["label"] = "Say what should be different" if view.talk.refining else "Ask in a sentence"
    return (
        gr.skip() if view.talk is None else view.talk, text(view.say), gr.Textbox(**box) if box else gr.skip(),
        text(view.thread), there(view.result), text(view.call), text(view.facts), there(view.acting),
        text(view.readings), there(view.sided), text(view.sides), there(view.voting),
        gr.skip() if view.fixing is None else gr.Accordion(open=view.fixing), text(view.fix), text(view.live),
        gr.skip() if view.fix is None else "", text(view.note), text(view.history), text(view.own),
    )  # fmt: skip


def wording(api: API) -> dict[str, Any]:
    """What the box says for an API."""
    return {"placeholder": f"Which {api.noun}s are you looking for?", "label": "Ask in a sentence"}


def lay_out(service: Service) -> Parts:
    """Make the components, within Blocks."""
    import gradio as gr

    first = service.default
    api, limits = service.apis[first.api].api, service.limits
    titles = [(served.api.title, name) for name, served in service.apis.items()]
    made: dict[str, Any] = {"talk": gr.State(Talk(first))}

    def html(name: str, value: str = "", pick: bool = False, **more: Any) -> None:
        more |= {"js_on_load": PICK} if pick else {"js_on_load": None}
        made[name] = gr.HTML(value, label=name, elem_id=f"qw-{name}", padding=False, **more)

    html("head", Parts.head_of(service, first.api))
    made["api"] = gr.Radio(
        titles, value=first.api, label="Search in", visible=len(titles) > 1, elem_id="qw-api", interactive=True
    )
    html("thread", pick=True)
    made["box"] = gr.Textbox(
        **wording(api), submit_btn="Ask", lines=1, max_lines=4, max_length=limits.instruction_chars, autofocus=True,
        elem_id="qw-ask", html_attributes=gr.InputHTMLAttributes(enterkeyhint="send", autocomplete="off"),
    )  # fmt: skip
    html("chips", show_parts.chips(examples(api)), pick=True)
    html("say")
    with gr.Column(visible=False, elem_id="qw-sided") as made["sided"]:
        html("sides")
        with gr.Row(visible=False, elem_id="qw-voting") as made["voting"]:
            made["votes"] = [gr.Button(label, size="sm") for label in VOTES]
    with gr.Column(visible=False, elem_id="qw-result") as made["result"]:
        html("call")
        html("facts")
        with gr.Column(visible=False, elem_id="qw-acting") as made["acting"]:
            with gr.Row(elem_id="qw-rate"):
                made["up"] = gr.Button("Right", size="sm", elem_id="qw-up")
                made["down"] = gr.Button("Wrong", size="sm", elem_id="qw-down")
                made["again"] = gr.Button("Other readings", size="sm", elem_id="qw-again")
                made["refine"] = gr.Button("Refine it", size="sm", elem_id="qw-refine")
                made["new"] = gr.Button("New question", size="sm", elem_id="qw-new")
            html("readings", pick=True)
            with gr.Accordion("Correct the call", open=False, elem_id="qw-fixing") as made["fixing"]:
                made["fix"] = gr.Textbox(
                    label="The call as it should be", lines=1, max_lines=8, max_length=limits.call_chars,
                    info="Names are suggested while you type. Enter runs it; only what you store is kept.",
                    elem_id="qw-fix", html_attributes=gr.InputHTMLAttributes(
                        autocapitalize="off", autocorrect="off", spellcheck=False, autocomplete="off"
                    ),
                )  # fmt: skip
                made["cursor"] = gr.Number(None, precision=0, visible=False)  # the browser fills it in
                html("suggest")
                html("live")
                with gr.Row(elem_id="qw-fixers"):
                    made["run"] = gr.Button("Run it", variant="secondary", size="sm")
                    made["save"] = gr.Button("Store correction", variant="primary", size="sm")
            html("note")
    with gr.Accordion("Earlier questions", open=False, elem_id="qw-earlier", elem_classes="qw-fold"):
        html("history", pick=True)
        html("own")
    with gr.Accordion("Settings", open=False, elem_id="qw-settings", elem_classes="qw-fold"):
        made |= _who(gr, service, first.model, "")
        made["compare"] = gr.Checkbox(False, label="Compare with a second answer, side by side", elem_id="qw-compare")
        with gr.Column(visible=False, elem_id="qw-second") as made["second"]:
            names = [*service.models]
            made |= _who(gr, service, names[1] if len(names) > 1 else first.model, "2")
            made["blind"] = gr.Checkbox(True, label="Blind: shuffled, and names are told after the judgement")
    return Parts(**made)


def _who(gr: Any, service: Service, model: str, mark: str) -> dict[str, Any]:
    """Who answers: only names that are served; what can't be chosen is not shown."""
    first, names, of = service.default, [*service.models], "Second " if mark else ""
    strategy, decoding = first.strategy, first.decoding
    if mark and len(names) == 1:  # the same model has to differ in something
        decoding = "free"
    return {
        f"model{mark}": gr.Dropdown(
            names, value=model, label=f"{of}model".capitalize(), visible=len(names) > 1, elem_id=f"qw-model{mark}",
        ),
        f"strategy{mark}": gr.Radio(
            [(_STRATEGIES[name], name) for name in STRATEGIES], value=strategy, label=f"{of}prompt".capitalize(),
            elem_id=f"qw-strategy{mark}",
        ),
        f"decoding{mark}": gr.Radio(
            [(_DECODINGS[name], name) for name in DECODINGS], value=decoding, label=f"{of}grammar".capitalize(),
            elem_id=f"qw-decoding{mark}",
        ),
    }  # fmt: skip
