"""What the people of the generated workspace say: by topic what they ask for and how it is answered, and small talk.

`{x}` is one of the topic's things, `{n}` a small number, `{day}` a weekday.
"""

# ruff: noqa: E501
from __future__ import annotations

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

# topic: (things, what is asked, how it is answered, how somebody else is asked for help with it)
TOPICS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "billing": (
        ("the March invoice", "a customer's refund", "the annual plan", "the reseller's credit note", "the tax line",
         "the card payment", "the trial account", "the upgrade fee"),
        ("{x} was charged twice, who can look at it?", "can we still change {x} before it is sent out?",
         "a customer asks why {x} shows the wrong amount", "finance wants {x} corrected by {day}",
         "where do I find the payment terms for {x}?", "{x} is overdue by {n} weeks, do we send a reminder?",
         "is {x} with or without VAT?", "the bank returned the payment for {x}"),
        ("I corrected {x}, the new amount is on the account now.", "{x} is paid, the booking came in on {day}.",
         "I've issued a credit for {x}.", "that is the old price list, {x} follows the new one."),
        ("someone has to settle the payment for {x} as well", "the invoice side of {x} is still open",
         "for the refund we need the billing people"),
    ),
    "deploys": (
        ("the staging server", "release {n}", "the build pipeline", "the canary", "the rollout to Europe",
         "the nightly build", "the container image", "the load balancer"),
        ("{x} has been stuck for {n} hours, can anybody restart it?", "when will {x} go live?",
         "can we roll back {x}? errors went up right after the deploy", "{x} fails at the last step since {day}",
         "who may approve {x} for production?", "{x} runs out of disk", "the health check of {x} is red again",
         "do we freeze deploys while {x} is being tested?"),
        ("I rolled {x} back, errors are down again.", "{x} is green, it only needed more disk.",
         "I restarted {x}, give it ten minutes.", "{x} goes out on {day} after the freeze."),
        ("then it needs a new deploy of {x}", "the release with {x} still has to be rolled out",
         "production needs a restart after that"),
    ),
    "database": (
        ("the orders table", "the customer index", "last night's backup", "the migration", "the read replica",
         "a slow query", "the archive schema", "the unique key"),
        ("{x} takes {n} minutes, it took seconds last week", "can somebody restore {x} from {day}?",
         "is it safe to drop a column of {x}?", "{x} is locked and nothing can be written", "we lose rows in {x}",
         "{x} has grown to {n} hundred gigabytes", "how do I add an index to {x} without downtime?",
         "the replication of {x} is {n} minutes behind"),
        ("I added an index, {x} is fast again.", "{x} is restored, please check the rows of {day}.",
         "the lock on {x} came from an open transaction, I ended it.", "I vacuumed {x}, that gave half of it back."),
        ("the rows in {x} have to be repaired in the database too", "somebody should check the index on {x} first",
         "that needs a schema migration for {x}"),
    ),
    "design": (
        ("the sign-up page", "the icon set", "the dark theme", "the new logo", "the settings screen",
         "the empty state", "the colour palette", "the landing page mock-up"),
        ("the contrast of {x} is too weak, can we make it darker?", "where is the latest version of {x}?",
         "{x} looks broken on small screens", "could I get {x} as a vector file by {day}?",
         "which font do we use on {x}?", "users don't find the button on {x}", "the spacing on {x} differs from the mock-up",
         "we have {n} versions of {x}, which one is final?"),
        ("I uploaded {x} to the shared folder.", "the final version of {x} is the one from {day}.",
         "I changed the contrast of {x}, have a look.", "{x} uses the same font as the headings."),
        ("we'd need a new mock-up of {x} for it", "the layout of {x} has to be redrawn",
         "the colours and icons for {x} are still missing"),
    ),
    "people": (
        ("my parental leave", "the new colleague's contract", "the travel expenses", "the training budget",
         "the onboarding plan", "the sick note", "the holiday calendar", "the interview on {day}"),
        ("who do I ask about {x}?", "until when do I have to hand in {x}?", "{x} isn't in the HR portal yet",
         "can {x} be moved by {n} weeks?", "my manager approved {x}, what is next?", "is there a form for {x}?",
         "how many days of notice does {x} need?", "a candidate asks about {x}"),
        ("{x} is in the portal now.", "just send me {x} by {day}, I'll file it.", "HR approved {x}, you are fine.",
         "there is a form for {x} on the people page."),
        ("that also needs a contract from HR", "the working hours for {x} have to be agreed with HR",
         "onboarding and the leave for {x} are not settled yet"),
    ),
    "security": (
        ("the admin password", "a phishing mail", "the VPN certificate", "the access token", "the laptop encryption",
         "a lost badge", "the firewall rule", "two-factor login"),
        ("I think {x} was leaked, what do I do?", "{x} expires on {day}, who renews it?",
         "can somebody grant me access for {x}?", "{x} is blocked after {n} attempts",
         "the auditor asks how we protect {x}", "is it allowed to share {x} with a contractor?",
         "{x} stopped working on my new phone", "we got an alert about {x} from an unknown address"),
        ("I revoked {x}, please sign in again.", "{x} is renewed for a year.", "don't click anything, I blocked the sender.",
         "access is granted, it ends on {day}."),
        ("the access rights for {x} have to be checked too", "that needs a security review of {x}",
         "someone must rotate the keys after that"),
    ),
    "reports": (
        ("the weekly dashboard", "the churn number", "the sales forecast", "the conversion chart", "the export to the board",
         "the cohort table", "the funnel", "the survey result"),
        ("{x} shows zero since {day}", "why does {x} differ from last month's by {n} per cent?",
         "can I get {x} split by country?", "the board wants {x} by {day}", "which definition is behind {x}?",
         "{x} counts our test users as well", "is {x} before or after returns?", "could {x} be refreshed every {n} hours?"),
        ("{x} is refreshed, the source was late.", "I left the test users out of {x}.",
         "{x} is split by country now, second tab.", "the definition changed on {day}, so {x} moved."),
        ("the numbers in {x} have to be recalculated as well", "the dashboard for {x} would need a new chart",
         "we should see in the statistics what {x} did"),
    ),
    "mobile": (
        ("the Android app", "push notifications", "the tablet version", "the app store listing", "offline mode",
         "the crash on start", "the camera screen", "version {n} of the app"),
        ("{x} crashes on older phones", "users report that {x} drains the battery", "when does {x} reach the app store?",
         "{x} shows a blank screen after the update", "is there a test build of {x}?",
         "{x} was rejected in the store review", "on iPhones {x} freezes for {n} seconds", "does {x} work without a network?"),
        ("there is a new test build of {x}.", "{x} is fixed, it is in review at the store.",
         "the crash came from an old system version, {x} handles it now.", "{x} goes to ten per cent of phones on {day}."),
        ("the phone app needs the same change for {x}", "on Android {x} has to be rebuilt too",
         "it still has to get into the app stores"),
    ),
}  # fmt: skip

OPENERS = ("", "", "", "hi all, ", "quick question: ", "morning! ", "sorry to bother you, ", "hey, ", "does anyone know: ",
           "FYI, ")  # fmt: skip
DETAILS = ("", "", "", " it started this morning.", " no hurry.", " we promised it to a customer.", " I tried twice.",
           " see the screenshot.", " any idea?", " it is a bit urgent.")  # fmt: skip
FOLLOW_UPS = ("I forgot to say that it is for the big customer.", "it still is like that, just checked.",
              "a second person reports the same.", "I can show it on a call as well.")  # fmt: skip
SETTLED = ("tell me if it happens again.", "that should be all.", "hope that helps.", "that settles it, I think.")
CLOSINGS = ("thanks, that worked!", "perfect, thank you so much.", "great, closing this one.", "works now, thanks a lot.",
            "ok, good to know.", "thanks!", "wonderful, have a nice evening.", "ok :+1:")  # fmt: skip
CHATTER = ("anyone up for lunch at noon?", "the coffee machine on the second floor is fixed.", "happy Friday everybody!",
           "it is snowing outside.", "who left the window open yesterday?", "cake in the kitchen, help yourselves.",
           "the train was late again today.", "nice talk yesterday, by the way.")  # fmt: skip
LINKS = ("<https://wiki.example.org/pages/{n}8841|the page>", "<https://tickets.example.org/browse/OPS-{n}77>",
         "https://status.example.org/incidents/{n}03", "<https://docs.example.org/a/b?c={n}>")  # fmt: skip
CODE = ("```\nERROR 50{n}: upstream timed out\n  at worker.run (worker.js:{n}1)\n```", "`make retry-{n}`",
        "```SELECT count(*) FROM t WHERE d > {n};```", "`kubectl get pods`")  # fmt: skip
EMOJI = ("thumbsup", "eyes", "tada", "white_check_mark", "pray", "rocket")
NAMES = ("Ada Berg", "Bruno Castell", "Chiara Dorn", "Dario Ekman", "Elif Farkas", "Fadi Grau", "Greta Holm", "Hugo Iversen",
         "Ines Jansen", "Jonas Kral", "Kaya Lind", "Leo Marek")  # fmt: skip
