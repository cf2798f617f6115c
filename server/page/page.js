// What the page does on its own: copying, keys, suggestions, focus. Run once when it is opened.
() => {
  const $ = (selector, from) => (from || document).querySelector(selector);
  const speak = () => ["#qw-say", "#qw-note", "#qw-live"].forEach((name) => {
    const part = $(name);
    if (part && !part.hasAttribute("role")) { part.setAttribute("role", "status"); part.setAttribute("aria-live", "polite"); }
  });

  // --- copying: also where the page has no clipboard (plain HTTP to another machine)
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch (_) { /* below */ }
    const field = document.createElement("textarea");
    field.value = text;
    field.style.position = "fixed";
    field.style.opacity = "0";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("[data-copy]");
    if (!button) return;
    const done = await copy($("code", button.parentElement).textContent);
    button.focus();
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // --- suggestions under the correction: a list that the field steers
  const options = () => [...document.querySelectorAll("#qw-options [role=option]")];
  const field = () => $("#qw-fix textarea, #qw-fix input");
  const open = () => { const list = $("#qw-options"); return list && !list.hidden && list.dataset.of === field().value; };
  const active = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");
  const mark = (index) => {
    options().forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === index));
      if (i === index) option.scrollIntoView({ block: "nearest" });
    });
    if (index < 0) field().removeAttribute("aria-activedescendant");
    else field().setAttribute("aria-activedescendant", `qw-option-${index}`);
  };
  const close = () => { const list = $("#qw-options"); if (list) list.hidden = true; told(); };
  const told = () => {
    const input = field();
    if (!input) return;
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", "qw-options");
    input.setAttribute("aria-expanded", String(Boolean(open())));
    if (!open()) input.removeAttribute("aria-activedescendant");
  };
  const put = (option) => {
    const list = $("#qw-options"), input = field(), text = option.dataset.text;
    if (list.dataset.of !== input.value) return;
    // positions are counted in characters, as the server does; a browser counts UTF-16 units
    const letters = [...input.value], start = Number(list.dataset.start), end = Number(list.dataset.end);
    const before = letters.slice(0, start).join("") + text;
    const value = before + letters.slice(end).join("");
    list.hidden = true;
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), "value").set.call(input, value);
    input.setSelectionRange(before.length, before.length);
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  document.addEventListener("mousedown", (event) => {
    const option = event.target.closest && event.target.closest("#qw-options [role=option]");
    if (option) { event.preventDefault(); put(option); } else if (event.target !== field()) close();
  });
  document.addEventListener("focusout", (event) => { if (event.target === field()) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.target === field() && open()) {
      const all = options(), at = active();
      const move = { ArrowDown: (at + 1) % all.length, ArrowUp: at <= 0 ? all.length - 1 : at - 1 }[event.key];
      if (move !== undefined) mark(move);
      else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) put(all[at]);
      else if (event.key === "Escape") close();
      else { if (event.key === "Enter") close(); return; }
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (event.key === "Escape") {
      const stop = $("#qw-ask .stop-button");
      if (stop) { event.preventDefault(); stop.click(); }
    }
  }, true);
  new MutationObserver(() => { speak(); told(); }).observe(document.body, { childList: true, subtree: true });
}
