"""The page in a browser, over a service whose models write what a table says: each thing that it offers, once."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from server import app
from server.keep.store import Store
from server.service import Service
from server.settings import KEEP_ALIVE_S, Limits
from tests.server.browsing import FLAGS, Watch, chromium, screenshot
from tests.server.fakes import COUNTED, DISEASES, GOOD, MOUSE, OTHER, make_service

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = pytest.mark.slow
HOLD = threading.Event()
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("browser") / "feedback.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service(hold=HOLD, limits=Limits(waiting=0))


@pytest.fixture(scope="module")
def site(service: Service, store: Store) -> Iterator[str]:
    import uvicorn

    sock = app.bind("127.0.0.1", 0)
    sock.listen(64)
    config = uvicorn.Config(
        app.build(service, store), log_level="error", log_config=None, ws="none", timeout_graceful_shutdown=1,
        timeout_keep_alive=KEEP_ALIVE_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield app.url(sock, "127.0.0.1")
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def path() -> str:
    """Of the browser. Asked for first: where there is none, nothing is served and nothing watched."""
    return chromium()


@pytest.fixture(scope="module")
def watch(path: str, site: str) -> Iterator[Watch]:
    watched = Watch()
    yield watched
    assert watched.faults == []
    assert watched.hosts - {""} == {site.removeprefix("http://")}


@pytest.fixture(scope="module")
def browser(path: str, watch: Watch) -> Iterator[Any]:
    with playwright.sync_playwright() as player:
        opened = player.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


def visit(browser: Any, watch: Watch, site: str, **options: Any) -> Any:
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
    context.set_default_timeout(WAIT_MS)
    page = watch.over(context.new_page())
    page.goto(site)
    page.wait_for_selector("#qw-ask textarea")
    return page


@pytest.fixture(scope="module")
def opened(browser: Any, watch: Watch, site: str) -> Any:
    return visit(browser, watch, site)


@pytest.fixture
def page(opened: Any) -> Any:
    """One tab for all tests: opening one takes seconds. Each begins with a new question."""
    new = opened.locator("#qw-new")
    for wait in (*[10_000] * 5, WAIT_MS):
        if not new.is_visible():
            return opened
        new.click()
        with suppress(playwright.TimeoutError):  # Gradio sends an answer again when its event ends: after the click
            opened.wait_for_selector("#qw-result", state="detached", timeout=wait)
    raise AssertionError("the last answer stays")


def ask(page: Any, sentence: str, call: str | None = GOOD) -> None:
    box = page.locator("#qw-ask textarea")
    box.fill(sentence)
    box.press("Enter")
    if call is not None:
        shows(page, "#qw-call .qw-call:not(.qw-writing) code", call)


def shows(page: Any, selector: str, text: str) -> None:
    """Wait until a part of the page holds a text."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )


def test_a_sentence_becomes_a_call_with_all_that_is_told_of_it(page: Any) -> None:
    ask(page, "uniprot of CDK2 <img src=x onerror=alert(1)> ${alert(2)} {{7*7}}")
    facts = page.locator("#qw-facts")
    shows(page, "#qw-facts", "P24941")
    told = facts.inner_text()
    for text in ("valid call", "1,234 genes", "fairly sure, 81%", "whose symbol is CDK2", "P24941", "<b>Cdk2</b>"):
        assert text in told
    link = facts.get_by_role("link", name="Open at mygene.info")
    assert link.get_attribute("href") == f"https://mygene.info{GOOD}"
    assert link.get_attribute("rel") == "noopener noreferrer"
    page.locator("#qw-call [data-copy]").click()
    shows(page, "#qw-call [data-copy]", "Copied")
    facts.locator("summary").click()
    assert f"curl '{link.get_attribute('href')}'" in facts.inner_text()
    with page.expect_download() as saved:
        facts.get_by_role("link", name="CSV").click()
    assert Path(saved.value.path()).read_text().startswith("_id,symbol,uniprot.Swiss-Prot,uniprot.TrEMBL,go.BP.id\n")


def test_the_call_streams_in_and_can_be_stopped(page: Any, service: Service) -> None:
    ask(page, "slowly", call=None)
    shows(page, ".qw-writing code", "/v3/query?q=symbol")
    assert page.locator("#qw-ask .submit-button").count() == 0
    page.keyboard.press("Escape")  # the same as the button "Stop"
    shows(page, "#qw-facts", "Stopped")
    page.wait_for_selector("#qw-ask .submit-button")
    assert service.models["fake-model"].gate.state["inside"] == 0


def test_counts_are_drawn(page: Any) -> None:
    ask(page, "how many by type", COUNTED)
    shows(page, ".qw-facet tbody tr", "1,200")
    bars = page.locator(".qw-facet tbody tr")
    assert bars.count() == 3
    widths = [bar.bounding_box()["width"] for bar in bars.locator("rect").all()]
    assert widths[0] > 100 * widths[2] > 0
    assert "1,200" in bars.first.inner_text()


def test_another_reading_is_taken(page: Any, store: Store) -> None:
    ask(page, "other readings please")
    page.locator("#qw-again").click()
    page.wait_for_selector(".qw-readings")
    page.get_by_role("button", name="Take reading 2").click()
    shows(page, "#qw-call code", OTHER)
    assert [p.chosen.path for p in store.preferences("mygene")] == [OTHER]


def test_a_call_is_corrected_by_keyboard_with_names_suggested(page: Any, store: Store) -> None:
    ask(page, "correct this")
    page.locator("#qw-down").press("Enter")  # opens the correction
    shows(page, "#qw-note", "What should the call have been?")
    fix = page.locator("#qw-fix textarea")
    fix.fill("/v3/query?q=symbool:CDK2")
    shows(page, "#qw-live .qw-bad", "did you mean")
    fix.fill("")
    fix.press_sequentially("/v3/query?q=sym")
    page.wait_for_selector("#qw-options")
    page.wait_for_function("document.querySelector('#qw-options')?.dataset.of === '/v3/query?q=sym'")
    shows(page, "#qw-options", "symbol:")
    page.wait_for_selector("#qw-fix textarea[aria-expanded=true]")  # not of what was suggested for "sy"
    fix.press("ArrowDown")
    assert fix.get_attribute("aria-activedescendant") == "qw-option-0"
    fix.press("Enter")
    assert fix.input_value() == "/v3/query?q=symbol:"
    fix.press_sequentially("CDK2")
    shows(page, "#qw-live .qw-good", "genes whose symbol is CDK2")
    fix.press("Escape")
    fix.press("Enter")
    shows(page, "#qw-note", "The corrected call: 1,234 genes.")
    page.get_by_role("button", name="Store correction").press("Enter")
    shows(page, "#qw-note", "Thank you")
    (kept,) = store.corrections("mygene")
    assert (kept.question, kept.path, kept.ok) == ("correct this", "/v3/query?q=symbol:CDK2", True)
    assert kept.of.rating == -1
    fold = page.locator("#qw-earlier > button")
    fold.click()
    made = page.locator("#qw-own a").get_attribute("href")
    fold.click()
    assert json.loads(unquote(made.partition(",")[2]))["path"] == "/v3/query?q=symbol:CDK2"


def test_the_next_sentence_refines_the_call(page: Any) -> None:
    ask(page, "refine this")
    page.locator("#qw-refine").click()
    page.wait_for_selector(".qw-thread")
    page.wait_for_function("document.activeElement === document.querySelector('#qw-ask textarea')")
    page.keyboard.type("only mice")
    page.keyboard.press("Enter")
    shows(page, "#qw-call .qw-call:not(.qw-writing) code", MOUSE)
    assert page.locator(".qw-thread li").all_inner_texts() == ["refine this", GOOD]
    page.get_by_role("button", name="New question").first.click()
    page.wait_for_selector("#qw-result", state="detached")
    ask(page, "afresh")


def test_earlier_questions_and_examples_are_picked(page: Any) -> None:
    example = page.locator("#qw-chips button").first
    text = example.inner_text()
    example.click()
    shows(page, "#qw-call .qw-call:not(.qw-writing) code", GOOD)
    assert page.locator("#qw-ask textarea").input_value() == text
    fold = page.locator("#qw-earlier > button")
    fold.click()
    page.locator("#qw-history button", has_text="how many by type").click()
    shows(page, "#qw-call code", COUNTED)
    fold.click()


def test_another_api_has_its_own_examples_and_calls(page: Any) -> None:
    page.get_by_text("MyDisease.info", exact=True).click()
    shows(page, "h1", "Ask MyDisease.info")
    shows(page, "#qw-chips", "Marfan")
    ask(page, "asthma", DISEASES)
    page.get_by_text("MyGene.info", exact=True).click()
    shows(page, "h1", "Ask MyGene.info")
    page.wait_for_selector("#qw-result", state="detached")


def test_two_models_side_by_side(page: Any, store: Store, tmp_path: Path) -> None:
    fold = page.locator("#qw-settings > button")
    fold.click()
    page.get_by_label("Compare with a second answer").check()
    page.wait_for_selector("#qw-second")
    ask(page, "compare these", call=None)
    right = page.get_by_role("button", name="Right is better")
    right.wait_for()
    sides = page.locator(".qw-sides section")
    calls = [side.locator("code").inner_text() for side in sides.all()]
    assert sorted(calls) == sorted([GOOD, OTHER])
    assert "fake-model" not in page.locator("#qw-sides").inner_text()
    screenshot(page, tmp_path, "sides")
    right.click()
    shows(page, "#qw-sides", "fake-model")
    kept = store.preferences("mygene")[-1]
    assert [kept.rejected.path, kept.chosen.path] == calls
    page.get_by_label("Compare with a second answer").uncheck()
    page.wait_for_selector("#qw-second", state="detached")
    fold.click()


def test_who_has_to_wait_is_told_and_served_in_the_end(page: Any, service: Service) -> None:
    HOLD.clear()
    other = threading.Thread(target=lambda: service.ask(service.choice(), "hold"))
    other.start()
    while not service.models["fake-model"].gate.state["inside"]:
        time.sleep(0.01)
    ask(page, "patience", call=None)
    shows(page, "#qw-say", "Trying again in")
    HOLD.set()
    shows(page, "#qw-call .qw-call:not(.qw-writing) code", GOOD)
    other.join(10)


def test_the_keyboard_reaches_everything_in_order(page: Any) -> None:
    page.locator("#qw-ask textarea").focus()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    shows(page, "#qw-call .qw-call:not(.qw-writing) code", GOOD)
    page.evaluate("document.querySelector('#qw-api input:checked').focus()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
              const it = document.activeElement, style = getComputedStyle(it);
              const frame = it.closest('.input-container');
              const seen = style.outlineStyle !== 'none' || (frame && getComputedStyle(frame).boxShadow !== 'none');
              const text = (it.ariaLabel || it.innerText || it.placeholder || it.className || it.tagName).trim();
              return [text.slice(0, 40), seen];
            }"""
        )
        reached.append(focus[0])
        assert focus[1], f"nobody sees that {focus[0]!r} has the focus"
        if focus[0].startswith("Settings"):
            break
    wanted = ["Which genes are you looking for?", "Ask", "give me the uniprot", "Copy the call", "Open at mygene.info",
              "First hits", "CSV", "As curl or Python", "Right", "Wrong", "Other readings", "Refine it", "New question",
              "Correct the call", "Earlier questions", "Settings"]  # fmt: skip
    at = -1
    for name in wanted:
        at = next(i for i, text in enumerate(reached) if i > at and text.startswith(name))


def test_what_happens_is_told_to_who_cannot_see_it(page: Any) -> None:
    ask(page, "aloud")
    say = page.locator("#qw-say")
    assert (say.get_attribute("role"), say.get_attribute("aria-live")) == ("status", "polite")
    assert "A valid call: 1,234 genes." in say.text_content()
    for name in ("#qw-ask textarea", "#qw-api input"):
        assert page.locator(name).first.evaluate("it => it.labels.length > 0 || Boolean(it.ariaLabel)")


def test_a_narrow_and_a_dark_page(browser: Any, watch: Watch, site: str, tmp_path: Path) -> None:
    page = visit(browser, watch, site, viewport={"width": 360, "height": 740}, color_scheme="dark")
    screenshot(page, tmp_path, "narrow-open")
    ask(page, "uniprot of CDK2")
    page.locator("#qw-again").click()
    page.wait_for_selector(".qw-readings")
    page.locator("#qw-fixing > button").click()
    page.locator("#qw-settings > button").click()
    page.wait_for_selector("#qw-decoding")
    screenshot(page, tmp_path, "narrow-dark")
    ground, text = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert _light(ground) < 40 < 180 < _light(text)
    page.set_viewport_size({"width": 1100, "height": 900})
    screenshot(page, tmp_path, "dark")
    page.context.close()


def _light(color: str) -> float:
    red, green, blue = map(float, re.findall(r"[\d.]+", color)[:3])
    return (red + green + blue) / 3


def test_two_browsers_keep_their_talks_apart_and_a_closed_one_frees_its_place(
    page: Any, browser: Any, watch: Watch, site: str, service: Service
) -> None:
    other = visit(browser, watch, site)
    ask(page, "mine")
    ask(other, "how many of theirs", COUNTED)
    page.locator("#qw-refine").click()
    shows(page, ".qw-thread", "mine")
    assert "theirs" not in page.locator(".qw-thread").inner_text()
    assert other.locator(".qw-thread").count() == 0
    assert other.locator("#qw-call code").inner_text() == COUNTED
    ask(other, "slowly", call=None)
    shows(other, ".qw-writing code", "/v3/query?q=symbol")
    gate = service.models["fake-model"].gate
    assert gate.state["inside"] == 1
    other.context.close()
    gone = time.monotonic()
    while gate.state["inside"]:
        assert time.monotonic() - gone < 30  # a second on a machine that does nothing else
        time.sleep(0.02)
    ask(page, "goes on", MOUSE)
